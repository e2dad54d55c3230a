// Making parts and manifests of a published blob whole again.
//
// A file of a blob is never changed in place: the good one is made beside it and moved over it.
// Errors of the file system leave the damaged file as it was.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

// Replaces the file of a part by a copy of the file `source` (both paths are below `root`), if that
// has the part's size and digest; false if it has not.
absl::StatusOr<bool> RestorePart(Directory& root, const v1::Checkpoint& checkpoint,
                                 const v1::Part& part, const std::string& source);

// Writes the manifest of a row whose part files are good, with digests of their blocks.
// BLOB_CORRUPT if a file does not match the row after all. Reads all parts.
absl::Status RestoreManifest(Directory& root, const v1::Checkpoint& row, const v1::Run& run);

}  // namespace ckpt::storage
