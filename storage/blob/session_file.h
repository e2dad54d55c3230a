// The session beside a part in the staging folder.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "ckpt/v1/records.pb.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

// The session of the part file `part_file` of a save's folder, if it can be gone by: it is whole,
// it is that part's, and the file has at least the bytes it promises. Otherwise nothing: what is
// there must not be used.
absl::StatusOr<std::optional<v1::PartSession>> ReadSession(Directory& root,
                                                           const std::string& save_folder,
                                                           const std::string& part_file);

}  // namespace ckpt::storage
