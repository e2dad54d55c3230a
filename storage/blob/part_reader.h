// Reads one part of a published checkpoint.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "ckpt/v1/records.pb.h"
#include "storage/blob/part_io.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

// Opens a part of `checkpoint`, the row of the index; `manifest` is the blob's. `part` may be
// empty: then it is the only one of the rank. PART_NOT_FOUND; BLOB_CORRUPT if the file is missing
// or has another size, or row and manifest differ.
absl::StatusOr<std::unique_ptr<PartReader>> OpenPartReader(Directory& root,
                                                           const v1::Checkpoint& checkpoint,
                                                           const v1::Manifest& manifest, int rank,
                                                           std::string_view part);

}  // namespace ckpt::storage
