// The folder blobs/: what has been published, immutable until it is evicted.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/records.pb.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/base/clock.h"
#include "storage/blob/part_io.h"
#include "storage/blob/staging.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

// Of published files: whoever edits a projected name would edit the blob.
inline constexpr int kPartMode = 0440;

// A blob is the folder of one save: its part files and the manifest. Thread-safe, but for one save
// one call at a time. Errors not named at a function: STORAGE_FAILED, DISK_FULL.
class BlobStore {
 public:
  // All outlive this; `root` is the data folder.
  BlobStore(Directory& root, Staging& staging, const Clock& clock)
      : root_(root), staging_(staging), clock_(clock) {}

  // Steps 3 and 4. As CheckpointStore::Publish. SAVE_NOT_OPEN if the save has no finished part;
  // UPLOAD_BUSY while it is being adopted or discarded. `run` goes into the manifest.
  absl::StatusOr<v1::Checkpoint> Publish(const v1::Checkpoint& save, const v1::Run& run = {});

  // The published checkpoint of a save that Publish may have been called for: nothing if it has not
  // got to its end, or if what is there is not this save's or damaged.
  absl::StatusOr<std::optional<v1::Checkpoint>> FindPublished(const v1::Checkpoint& save);

  // The manifest of a checkpoint. BLOB_CORRUPT if it is missing, unreadable or another
  // checkpoint's. VERSION_TOO_NEW.
  absl::StatusOr<v1::Manifest> ReadManifest(const v1::Checkpoint& checkpoint);

  // While the result lives, no blob is removed: Remove waits. For the thread that asked for it.
  [[nodiscard]] std::unique_lock<std::shared_mutex> HoldRemovals() {
    return std::unique_lock(removals_);
  }

  // Removes the blob of a checkpoint, unless a later save of the same name lives there. OK if there
  // is none.
  absl::Status Remove(const v1::Checkpoint& checkpoint);

 private:
  // Step 3.
  absl::Status WriteManifest(const v1::Checkpoint& checkpoint, const v1::Run& run,
                             const std::string& folder);
  // Step 4.
  absl::Status MoveIntoPlace(const std::string& folder);
  absl::Status SyncMove(const std::string& folder);

  Directory& root_;
  Staging& staging_;
  const Clock& clock_;
  std::shared_mutex removals_;
};

// Name of the folder of a checkpoint's parts. NAME_INVALID unless the checkpoint's name is well
// formed.
absl::StatusOr<std::string> SaveFolderNameOf(const v1::Checkpoint& checkpoint);

// Whether two records are of one save: ids begin again at 1 when a run is deleted and made anew.
bool SameSave(const v1::Checkpoint& a, const v1::Checkpoint& b);

}  // namespace ckpt::storage
