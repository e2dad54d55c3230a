// The way to the daemon's local socket, across its restarts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "ckpt/v1/training_service.pb.h"
#include "ckpt/v1/weight_service.pb.h"
#include "client/cpp/src/local_connection.h"
#include "client/cpp/src/local_pool.h"

namespace ckpt::client {

struct LocalOptions {
  bool enabled = true;
  size_t snapshots = 2;  // saves on their way at once, at most
  size_t reserved = 0;   // of them made beforehand,
  size_t reserve = 0;    // with room for so many bytes; 0: none
  // Told once why there is no hand-over in shared memory although the daemon offers it.
  std::function<void(std::string_view)> notify;
};

// Thread-safe.
class LocalLink {
 public:
  explicit LocalLink(LocalOptions options);

  // A stream to the daemon is up. Connects, unless the connection to this daemon is up.
  void OnWelcome(const v1::Welcome& welcome);

  // The connection that is up; one that broke is made again. Null when that fails: then there is
  // none before the next Welcome.
  std::shared_ptr<LocalConnection> connection();
  // Why there will be none before the next Welcome; OK if there may be one.
  absl::Status refused();
  // Slots for a save; null while all are used.
  std::shared_ptr<LocalSnapshot> TakeSnapshot() { return pool_->Take(); }
  // The part of `snapshot` at `place`, filled with `bytes`; null when there is no memory for it.
  LocalSlot* Fill(LocalSnapshot& snapshot, size_t place, std::string_view bytes);
  // Shared memory cannot be used, because of `why`.
  void Complain(const absl::Status& why);

 private:
  absl::Status Connect(bool again);  // with the lock held

  const LocalOptions options_;
  const std::shared_ptr<LocalPool> pool_;

  std::mutex mutex_;
  std::string path_;  // of the newest Welcome
  std::string token_;
  std::shared_ptr<LocalConnection> connection_;
  absl::Status refused_;
  bool reserved_ = false;
  bool complained_ = false;
};

// A part in a slot that has been submitted, once. Used by one thread, but for Cancel.
class LocalSubmission {
 public:
  // Registers the slot, if `connection` does not know it, and submits its content. Does not wait
  // for the daemon. `snapshot` is held until the daemon is done with the slot.
  LocalSubmission(std::shared_ptr<LocalConnection> connection, const v1::UploadStart& start,
                  LocalSlot& slot, const std::shared_ptr<LocalSnapshot>& snapshot);
  ~LocalSubmission() { Cancel(); }
  LocalSubmission(const LocalSubmission&) = delete;
  LocalSubmission& operator=(const LocalSubmission&) = delete;

  // How it ended.
  struct Outcome {
    // The daemon's answer about the part; nothing when there is none, because of `lost`.
    std::optional<absl::StatusOr<v1::UploadFinished>> answer;
    // The connection has ended, or the daemon does not take the slot. OK: Cancel was called.
    absl::Status lost;
  };
  // Waits. Once.
  Outcome Await();
  // From any thread: Await returns soon. The daemon may store the part nevertheless.
  void Cancel();

 private:
  const std::shared_ptr<LocalConnection> connection_;
  LocalSlot& slot_;
  uint64_t registered_ = 0;  // id of the registration; 0: there was none
  uint64_t submitted_ = 0;
};

}  // namespace ckpt::client
