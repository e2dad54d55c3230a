// One SaveRun call: waits for a save that somebody asked for.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "ckpt/v1/catalog_service.grpc.pb.h"
#include "server/run/run_registry.h"

namespace ckpt::server {

// The run's actor tells it of the save, and of its end; it knows the call only weakly, so that one
// whose caller has gone away is let go at once.
class SaveStream final : public grpc::ServerWriteReactor<v1::SaveRunResponse>,
                         public std::enable_shared_from_this<SaveStream> {
 public:
  // `name`: of the run, as the caller gave it.
  static SaveStream* Start(RunRegistry& runs, const std::string& name);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override { self_.reset(); }

 private:
  void Ask(RunRegistry& runs, std::string run);
  void Decided(absl::StatusOr<v1::Checkpoint> save);
  void Ended(absl::StatusOr<v1::Checkpoint> outcome);
  // These need mutex_.
  void Write(v1::Checkpoint checkpoint);
  void Close(const absl::Status& status);
  void TellEnd();

  std::shared_ptr<SaveStream> self_;  // gRPC's hold; let go in OnDone

  std::mutex mutex_;
  v1::SaveRunResponse response_;                           // being written
  bool writing_ = false;                                   // guarded by mutex_
  bool decided_ = false;                                   // guarded by mutex_; has been told
  bool ended_ = false;                                     // guarded by mutex_; has been told
  bool closed_ = false;                                    // guarded by mutex_
  std::optional<absl::StatusOr<v1::Checkpoint>> outcome_;  // guarded by mutex_; still to be told
};

}  // namespace ckpt::server
