// Parts handed over in shared memory, on their way to the disk.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/weight_service.pb.h"
#include "server/run/byte_budget.h"
#include "server/run/upload_target.h"
#include "server/server_context.h"
#include "storage/fs/content.h"

namespace ckpt::server {

struct Submission {
  v1::UploadStart start;
  std::shared_ptr<const storage::Content> content;  // let go as soon as it is stored
  std::string xxh3_128;                             // empty if the sender cannot tell
  bool in_slot = false;                             // rather than in a file
};

// Takes a part through the steps of an upload: its save is opened, the content stored, the part
// finished. A few parts are stored at a time, so that disk threads stay free for everything else;
// the others wait, in order. Thread-safe. Outlives its work: the executors are stopped before.
class Submitter {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<v1::UploadFinished>)>;

  // Stores `at_once` parts at the same time.
  Submitter(const ServerContext& context, int at_once) : context_(context), turns_(at_once) {}

  // Does not block. `done` comes once, on any thread, with the answer or the error of an upload:
  // besides, FIELD_INVALID (offset, size or digest that do not fit), and DIGEST_MISMATCH when the
  // content changed meanwhile. Nothing of a part that failed is published. A part of a save for
  // memory is not stored but held, by its run, when `done` comes: SHARED_MEMORY_REQUIRED if it is
  // in no slot.
  void Submit(Submission submission, Done done);

  // Returns when everything submitted so far has found its save open, or has failed: then the runs
  // may be closed.
  void AwaitOpened();
  // Returns when everything submitted so far is stored; at `deadline`, what has not begun to be
  // stored fails with DRAINING, now and from now on.
  void Finish(std::chrono::system_clock::time_point deadline);

 private:
  struct Job;

  void Open(std::shared_ptr<Job> job);
  void Opened(const std::shared_ptr<Job>& job, absl::StatusOr<UploadTarget> opened);
  void Count(int opening, int unstored);
  void Hold(const std::shared_ptr<Job>& job, const std::shared_ptr<RunActor>& run);
  void Persist(const std::shared_ptr<Job>& job, std::shared_ptr<RunActor> run);
  void AwaitTurn(std::shared_ptr<Job> job);
  void Store(const std::shared_ptr<Job>& job);
  absl::StatusOr<v1::Part> Write(Job& job);

  const ServerContext& context_;
  ByteBudget turns_;  // one for each part that is being stored
  std::mutex mutex_;
  std::condition_variable fewer_;
  int opening_ = 0;       // guarded by mutex_; submissions whose save is being opened
  int unstored_ = 0;      // guarded by mutex_; those that wait to be stored, or are being
  bool stopped_ = false;  // guarded by mutex_
};

}  // namespace ckpt::server
