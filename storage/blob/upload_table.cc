#include "storage/blob/upload_table.h"

#include "storage/base/errors.h"

namespace ckpt::storage {

absl::Status UploadSlot::WhileOpen(std::string_view save, absl::FunctionRef<absl::Status()> step) {
  const std::lock_guard lock(mutex_);
  if (withdrawn_) return SaveNotOpen(save, "it was discarded or published meanwhile");
  return step();
}

void UploadSlot::Withdraw() {
  const std::lock_guard lock(mutex_);
  withdrawn_ = true;
}

FolderClaim::~FolderClaim() {
  if (table_ == nullptr) return;
  const std::lock_guard lock(table_->mutex_);
  const auto found = table_->folders_.find(folder_);
  if (found->second.slots.empty()) {
    table_->folders_.erase(found);
  } else {
    found->second.claimed = false;
  }
}

void FolderClaim::Forget() {
  const std::lock_guard lock(table_->mutex_);
  table_->folders_[folder_].slots.clear();
}

void FolderClaim::MoveTo(FolderClaim& other) {
  const std::lock_guard lock(table_->mutex_);
  table_->folders_[other.folder_].slots = std::exchange(table_->folders_[folder_].slots, {});
}

void UploadTable::Add(const std::string& folder, const std::string& file, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  folders_[folder].slots[file] = std::make_shared<UploadSlot>(bytes);
}

absl::StatusOr<PartClaim> UploadTable::ClaimPart(const std::string& folder,
                                                 const std::string& file) {
  const std::lock_guard lock(mutex_);
  Folder& entry = folders_[folder];
  if (entry.claimed) return UploadBusy(file);
  std::shared_ptr<UploadSlot>& slot = entry.slots[file];
  if (slot == nullptr) slot = std::make_shared<UploadSlot>(0);
  if (slot->claimed.exchange(true)) return UploadBusy(file);
  return PartClaim(slot);
}

absl::StatusOr<FolderClaim> UploadTable::ClaimFolder(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  Folder& entry = folders_[folder];
  if (entry.claimed) return UploadBusy(folder);
  for (const auto& [file, slot] : entry.slots) {
    if (slot->claimed) return UploadBusy(file);
  }
  entry.claimed = true;
  return FolderClaim(this, folder);
}

absl::StatusOr<FolderClaim> UploadTable::SeizeFolder(const std::string& folder) {
  Slots taken;
  {
    const std::lock_guard lock(mutex_);
    Folder& entry = folders_[folder];
    if (entry.claimed) return UploadBusy(folder);
    entry.claimed = true;
    taken = entry.slots;
    for (auto& [file, slot] : entry.slots) slot = std::make_shared<UploadSlot>(slot->bytes);
  }
  // Not under the lock: a writer's running step may be syncing.
  for (const auto& [file, slot] : taken) slot->Withdraw();
  return FolderClaim(this, folder);
}

std::vector<std::string> UploadTable::folders() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  names.reserve(folders_.size());
  for (const auto& [name, folder] : folders_) names.push_back(name);
  return names;
}

int64_t UploadTable::bytes() const {
  const std::lock_guard lock(mutex_);
  int64_t bytes = 0;
  for (const auto& [name, folder] : folders_) {
    for (const auto& [file, slot] : folder.slots) bytes += slot->bytes;
  }
  return bytes;
}

}  // namespace ckpt::storage
