// The folder staging/: uploads on their way, of saves and of stages.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/blob/free_space.h"
#include "storage/blob/part_io.h"
#include "storage/blob/upload_table.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

// Folders are named by SaveFolderName. Thread-safe. Errors not named at a function: STORAGE_FAILED,
// DISK_FULL.
class Staging {
 public:
  // `root` is the data folder and outlives this. Uploads leave `kept_bytes` of the disk free.
  explicit Staging(Directory& root, int64_t kept_bytes = 0)
      : root_(root), space_(root, kept_bytes) {}

  // Counts the parts of a folder found on disk.
  absl::Status Add(const std::string& folder);

  // As CheckpointStore::OpenPart; also NAME_INVALID and FIELD_INVALID.
  absl::StatusOr<std::unique_ptr<PartWriter>> OpenPart(const PartTarget& target);

  // The finished parts of a folder, with block digests and in order; none if there is no folder.
  absl::StatusOr<std::vector<v1::Part>> FinishedParts(const std::string& folder);
  // Those of the ranks 0 … world_size - 1, if every part of them is finished; else nothing.
  absl::StatusOr<std::optional<std::vector<v1::Part>>> CompleteParts(const std::string& folder,
                                                                     int world_size);

  // As CheckpointStore::AdoptStage.
  absl::Status Adopt(std::string_view run, std::string_view stage_id, std::string_view save);
  // Removes a folder, also under the hands of its writers. OK if there is none. UPLOAD_BUSY while
  // it is being adopted or published.
  absl::Status Discard(const std::string& folder);
  // Discards every folder of a run.
  absl::Status DiscardRun(std::string_view run);
  // Takes a folder from its writers, to publish it. UPLOAD_BUSY as Discard.
  absl::StatusOr<FolderClaim> Seize(const std::string& folder) {
    return table_.SeizeFolder(folder);
  }

  // Bytes received and neither published nor discarded.
  int64_t bytes() const { return table_.bytes(); }

 private:
  absl::Status RemoveFolder(const std::string& folder);

  Directory& root_;
  FreeSpace space_;
  UploadTable table_;
};

}  // namespace ckpt::storage
