#include "client/cpp/src/local_sender.h"

#include <utility>

namespace ckpt::client {

LocalSender::LocalSender(LocalLink& link, v1::UploadStart start,
                         std::shared_ptr<LocalSnapshot> snapshot, LocalSlot& slot,
                         std::unique_ptr<PartSender> other)
    : link_(link),
      start_(std::move(start)),
      snapshot_(std::move(snapshot)),
      slot_(slot),
      other_(std::move(other)) {
  Submit();
}

absl::StatusOr<v1::UploadFinished> LocalSender::Attempt() {
  Submit();
  std::shared_ptr<LocalSubmission> submission;
  {
    std::lock_guard lock(mutex_);
    submission = submission_;
  }
  absl::Status lost = link_.refused();
  if (lost.ok()) lost = absl::UnavailableError("there is no connection for shared memory");
  if (submission != nullptr) {
    LocalSubmission::Outcome outcome = submission->Await();
    {
      std::lock_guard lock(mutex_);
      submission_ = nullptr;
    }
    if (outcome.answer.has_value()) return *std::move(outcome.answer);
    // A daemon that is gone comes back; what else there is does not pass.
    if (!outcome.lost.ok() && !absl::IsUnavailable(outcome.lost)) link_.Complain(outcome.lost);
    lost = outcome.lost.ok() ? absl::CancelledError("it was cancelled") : outcome.lost;
  }
  if (other_ == nullptr) return lost;
  return other_->Attempt();
}

void LocalSender::Submit() {
  std::lock_guard lock(mutex_);
  if (submission_ != nullptr || cancelled_) return;
  std::shared_ptr<LocalConnection> connection = link_.connection();
  if (connection == nullptr) return;
  submission_ = std::make_shared<LocalSubmission>(std::move(connection), start_, slot_, snapshot_);
}

void LocalSender::Cancel() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (submission_ != nullptr) submission_->Cancel();
  if (other_ != nullptr) other_->Cancel();
}

}  // namespace ckpt::client
