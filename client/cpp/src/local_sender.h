// Parts handed over in shared memory.
#pragma once

#include <memory>
#include <mutex>

#include "client/cpp/src/local_link.h"
#include "client/cpp/src/part_sender.h"

namespace ckpt::client {

// The part is in a slot, and stays there until the daemon has it. While there is no connection, or
// the daemon does not take the slot, it goes by another way, if there is one, from its memory.
class LocalSender final : public PartSender {
 public:
  // Submits at once: the daemon has the part if it lives, whether or not this process does. `slot`,
  // of `snapshot`, is filled. `other` sends the slot's content; null: nothing else may, and Attempt
  // fails with UNAVAILABLE while a daemon is gone, or with why it takes no connection or slot.
  // `link` outlives this.
  LocalSender(LocalLink& link, v1::UploadStart start, std::shared_ptr<LocalSnapshot> snapshot,
              LocalSlot& slot, std::unique_ptr<PartSender> other);

  absl::StatusOr<v1::UploadFinished> Attempt() override;
  bool TakeProgress() override { return other_ != nullptr && other_->TakeProgress(); }
  void Cancel() override;

 private:
  void Submit();

  LocalLink& link_;
  const v1::UploadStart start_;
  const std::shared_ptr<LocalSnapshot> snapshot_;
  LocalSlot& slot_;
  const std::unique_ptr<PartSender> other_;

  std::mutex mutex_;
  std::shared_ptr<LocalSubmission> submission_;  // whose outcome is not known
  bool cancelled_ = false;
};

}  // namespace ckpt::client
