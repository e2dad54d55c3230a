// Group commit: the changes of all runs that are waiting go to the index in one synced batch.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "server/http/metrics.h"
#include "server/run/executors.h"
#include "storage/checkpoint_store.h"

namespace ckpt::server {

// Updates that build on each other: those of one run's actor. After one has failed, later ones fail
// as well, with the same error, and are not written: they would leave a hole. Made by whoever
// submits, used by the writer alone.
class IndexLane {
  friend class IndexWriter;
  absl::Status failed_;
};

// The one writer of the index. While a batch is being synced the next one gathers, so that a busy
// daemon syncs large batches, and an idle one at once what is urgent. Updates of one run are
// applied in the order they were submitted; what the index refuses for one run does not keep it
// from the others. Thread-safe; Submit never blocks.
class IndexWriter {
 public:
  // Long enough that a trainer which asks for one decision after another is rarely disturbed by the
  // writing of the last ones.
  static constexpr std::chrono::milliseconds kLinger{20};

  using Done = absl::AnyInvocable<void(absl::StatusOr<storage::ApplyResult>)>;

  IndexWriter(storage::CheckpointStore& store, Executors& executors, Metrics& metrics);

  // Calls `done` on a disk thread when the update is durable, with the evictions it caused in its
  // own run, or when it failed. `done` must not block.
  void Submit(std::shared_ptr<IndexLane> lane, storage::RunUpdate update, Done done);
  // The same for an update that is not urgent: it is written with the next one of the others, or
  // when many have gathered, at the latest kLinger after whatever is being written now.
  void SubmitLater(std::shared_ptr<IndexLane> lane, storage::RunUpdate update, Done done);
  // What has gathered is written without waiting for more.
  void WriteSoon();
  // From now on nothing waits for others. To be called before the executors are stopped: what
  // lingers then is never written, nor its `done` called.
  void Hurry();
  // Deletes a run, in order with its updates.
  void SubmitDeleteRun(std::string run, Done done);

 private:
  struct DeleteRun {
    std::string run;
  };
  // Whom to tell of an item.
  struct Caller {
    Done done;
    std::shared_ptr<IndexLane> lane;  // of an update

    void Tell(absl::StatusOr<storage::ApplyResult> result);
  };
  struct Item {
    std::variant<storage::RunUpdate, DeleteRun> change;
    Caller caller;
  };

  // Updates that go into one batch, and whom to tell of each.
  struct Updates {
    std::vector<storage::RunUpdate> updates;
    std::vector<std::vector<Caller>> callers;
    std::unordered_map<std::string, size_t> newest;  // update of each run

    // Events that follow others of their run go into the same update.
    void Add(storage::RunUpdate update, Caller caller);
  };

  enum class Urgency { kAtOnce, kLater };

  void Enqueue(Item item, Urgency urgency);
  // Sees to what is queued. Requires mutex_.
  void Schedule();
  void Linger();
  void Drain();
  void WriteBatch(std::deque<Item> items);
  void WriteUpdates(Updates gathered);
  void WriteByRun(Updates gathered);

  storage::CheckpointStore& store_;
  Executors& executors_;
  Metrics& metrics_;
  const SerialExecutor timer_;

  std::mutex mutex_;
  std::deque<Item> queue_;    // guarded by mutex_
  size_t queued_events_ = 0;  // guarded by mutex_
  bool urgent_ = false;       // guarded by mutex_; what is queued is to be written at once
  bool lingering_ = false;    // guarded by mutex_; a Linger will come
  bool draining_ = false;     // guarded by mutex_; a Drain is posted or running
  bool hurried_ = false;      // guarded by mutex_; Hurry was called
};

}  // namespace ckpt::server
