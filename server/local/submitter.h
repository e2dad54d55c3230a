// Parts handed over in shared memory, on their way to the disk.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/weight_service.pb.h"
#include "server/run/byte_budget.h"
#include "server/server_context.h"
#include "storage/fs/content.h"

namespace ckpt::server {

struct Submission {
  v1::UploadStart start;
  std::shared_ptr<const storage::Content> content;  // let go as soon as it is stored
  std::string xxh3_128;                             // empty if the sender cannot tell
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
  // content changed meanwhile. Nothing of a part that failed is published.
  void Submit(Submission submission, Done done);

  // What has not begun to be stored fails with DRAINING from now on.
  void Stop() { stopped_ = true; }

 private:
  struct Job;

  void Open(std::shared_ptr<Job> job);
  void AwaitTurn(std::shared_ptr<Job> job);
  void Store(const std::shared_ptr<Job>& job);
  absl::StatusOr<v1::Part> Write(Job& job);

  const ServerContext& context_;
  ByteBudget turns_;  // one for each part that is being stored
  std::atomic<bool> stopped_ = false;
};

}  // namespace ckpt::server
