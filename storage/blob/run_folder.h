// Cleaning up below runs/.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

// Removes runs/<run>/ and the folders in it, as far as they are empty. OK if there is none.
absl::Status RemoveEmptyRunFolder(Directory& root, std::string_view run);

// Removes what a crash left below runs/ while names were being made: everything that begins with
// kTemporaryPrefix. Returns how many.
absl::StatusOr<int64_t> RemoveTemporaries(Directory& root);

}  // namespace ckpt::storage
