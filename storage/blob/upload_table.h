// Which parts are on their way in, who writes them, and how many bytes they have: the memory of the
// staging folder. No I/O.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ckpt::storage {

// One part on its way in, shared by its writer and the table. Thread-safe.
class UploadSlot {
 public:
  explicit UploadSlot(int64_t received) : bytes(received) {}

  std::atomic<int64_t> bytes;  // received
  std::atomic<bool> claimed = false;

  // Runs a step that reaches the part's files by their path. SAVE_NOT_OPEN, naming `save`, instead
  // once they have been withdrawn: the path may belong to another writer by now.
  absl::Status WhileOpen(std::string_view save, absl::FunctionRef<absl::Status()> step);
  // From now on no step runs. Waits for a running one.
  void Withdraw();

 private:
  std::mutex mutex_;
  bool withdrawn_ = false;  // guarded by mutex_
};

// The right to write one part. Not thread-safe.
class PartClaim {
 public:
  PartClaim(PartClaim&& other) noexcept = default;
  PartClaim& operator=(PartClaim&& other) noexcept {
    std::swap(slot_, other.slot_);
    return *this;
  }
  ~PartClaim() { Release(); }

  // Null after Release.
  UploadSlot* slot() const { return slot_.get(); }
  void Release() {
    if (slot_ != nullptr) slot_->claimed = false;
    slot_ = nullptr;
  }

 private:
  friend class UploadTable;
  explicit PartClaim(std::shared_ptr<UploadSlot> slot) : slot_(std::move(slot)) {}

  std::shared_ptr<UploadSlot> slot_;
};

class UploadTable;

// The right to move or remove one save's folder: while it lasts, none of its parts can be claimed.
// Not thread-safe.
class FolderClaim {
 public:
  FolderClaim(FolderClaim&& other) noexcept
      : table_(std::exchange(other.table_, nullptr)), folder_(std::move(other.folder_)) {}
  FolderClaim& operator=(FolderClaim&&) = delete;
  ~FolderClaim();

  // The folder is gone.
  void Forget();
  // The folder has taken the place of the one claimed by `other`.
  void MoveTo(FolderClaim& other);

 private:
  friend class UploadTable;
  FolderClaim(UploadTable* table, std::string folder) : table_(table), folder_(std::move(folder)) {}

  UploadTable* table_;
  std::string folder_;
};

// Thread-safe. Outlives its claims on folders.
class UploadTable {
 public:
  // Tells of a part found on disk.
  void Add(const std::string& folder, const std::string& file, int64_t bytes);

  // UPLOAD_BUSY if the part or its folder is claimed.
  absl::StatusOr<PartClaim> ClaimPart(const std::string& folder, const std::string& file);
  // UPLOAD_BUSY if the folder or a part in it is claimed.
  absl::StatusOr<FolderClaim> ClaimFolder(const std::string& folder);
  // The same, but takes the parts away from their writers. UPLOAD_BUSY if the folder is claimed.
  absl::StatusOr<FolderClaim> SeizeFolder(const std::string& folder);

  std::vector<std::string> folders() const;
  // Bytes received of all parts.
  int64_t bytes() const;

 private:
  friend class FolderClaim;

  using Slots = std::map<std::string, std::shared_ptr<UploadSlot>>;  // by file name
  struct Folder {
    bool claimed = false;
    Slots slots;
  };

  mutable std::mutex mutex_;
  std::map<std::string, Folder> folders_;  // guarded by mutex_
};

}  // namespace ckpt::storage
