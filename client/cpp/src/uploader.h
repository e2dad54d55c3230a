// The saves that this process owes the daemon, and the threads that deliver them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "ckpt/run.h"
#include "ckpt/v1/catalog_service.grpc.pb.h"
#include "client/cpp/src/part_sender.h"
#include "client/cpp/src/train_session.h"

namespace ckpt::client {

class HandOver;

struct UploaderOptions {
  std::string server;
  size_t max_uploads = 1;
  // How long an upload goes on trying while nothing gets through.
  std::chrono::milliseconds patience{0};
  // Tells the daemon that a save is given up. Called on an upload's thread, not under the lock.
  std::function<void(const std::string& save, const std::string& why)> abandon;
};

// A save is decided, then on its way (uploading, or staged and waiting for its outcome), then
// ended: committed or failed. A snapshot in memory is held, rather than on its way, once the daemon
// has it, until the daemon tells that it was dropped or persisted. Decided saves wait for the
// thread of the events; those on their way are bounded by max_uploads. HasSlot, AwaitSlot, Upload,
// AwaitStaged, GiveUp, Skip and Stage belong to that thread, the rest is thread-safe.
class Uploader final : public SaveListener {
 public:
  Uploader(HandOver& hand_over, v1::CatalogService::Stub& catalog, UploaderOptions options);
  ~Uploader() override;
  // Stops what is on its way and joins the threads. Nothing is abandoned any more.
  void Stop();

  // Whether another save can be on its way at once.
  bool HasSlot();
  // Waits until one can.
  void AwaitSlot();
  // Puts a decided save on its way: the bytes of parts without an owner may change from then on.
  void Upload(const std::string& save, std::vector<PartBytes> parts);
  // The same for a save whose bytes the daemon has already; it need not have been announced.
  void AwaitStaged(const std::string& save);
  // Ends a decided save as failed and tells the daemon.
  void GiveUp(const std::string& save, const absl::Status& why);
  // Ends a decided save and tells the daemon, as the user wants it: no failure.
  void Skip(const std::string& save, const std::string& why);

  // Uploads parts before there is a save for them; returns when they are durable.
  absl::Status Stage(const v1::StagedTarget& target, std::vector<PartBytes> parts);

  // Waits until no save is on its way. OK, or an error that names every save that failed since the
  // last call; its code and reason are those of the first.
  absl::Status AwaitIdle();

  void OnDecided(const v1::Checkpoint& save) override;
  bool Owes(const std::string& save) override;
  void OnOutcome(const v1::SaveOutcome& outcome) override;
  void OnWelcomed(const std::vector<std::string>& open) override;
  std::vector<std::string> Awaited() override;
  void OnLost(const absl::Status& why) override;

 private:
  struct Save {
    std::string name;
    std::string label;  // for messages: name and file
    std::vector<std::unique_ptr<PartSender>> parts;
    std::optional<v1::SaveOutcome> outcome;
    bool snapshot = false;  // kept in memory
    bool held = false;      // by the daemon, in the slots of `parts`
  };
  class CallScope;

  // Need `mutex_`.
  void PutOnItsWay(std::shared_ptr<Save> save);
  bool SlotIsFree() const;
  void Remember(const Save& save, const absl::Status& failure);
  void EndHeld(const std::shared_ptr<Save>& save);
  bool Told(const Save& save) const { return stopping_ || save.outcome.has_value(); }

  void Work();
  void End(Save& save, const absl::Status& status);
  // The daemon has a snapshot, and tells later how it ended.
  void Hold(const std::shared_ptr<Save>& save);

  // Whether the save is committed; if not, it is a snapshot that the daemon holds.
  absl::StatusOr<bool> Deliver(Save& save);
  // How a save ended whose upload failed.
  absl::Status EndOf(Save& save, const absl::Status& failure);
  absl::Status AwaitOutcome(Save& save);
  // Asks the catalog. OK when the save is committed, NOT_FOUND when it is not.
  absl::Status LookUp(const Save& save);
  // All parts of one target. `save` is null for a stage. Returns whether the save is committed.
  absl::StatusOr<bool> UploadParts(const std::vector<std::unique_ptr<PartSender>>& parts,
                                   Save* save);
  absl::StatusOr<v1::UploadFinished> UploadPart(PartSender& part, Save* save);
  // False when the uploader stops meanwhile.
  bool Pause(std::chrono::milliseconds pause);

  HandOver& hand_over_;
  v1::CatalogService::Stub& catalog_;
  const UploaderOptions options_;

  std::mutex mutex_;
  std::condition_variable changed_;  // any of what follows
  std::map<std::string, std::shared_ptr<Save>> saves_;
  std::deque<v1::SaveOutcome> unclaimed_;  // of saves that AwaitStaged has still to name
  std::deque<std::shared_ptr<Save>> queue_;
  size_t on_their_way_ = 0;  // queued or with a thread
  size_t held_ = 0;
  std::map<std::string, size_t> kept_;  // snapshots that the daemon keeps, by policy
  std::vector<absl::Status> failures_;
  size_t more_failures_ = 0;  // beyond those kept
  std::map<CallScope*, Save*> calls_;
  absl::Status lost_;  // why no outcome comes any more
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace ckpt::client
