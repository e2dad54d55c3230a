// Small files, read and replaced as a whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

// The content of a file; nothing if there is none. FIELD_INVALID if it has more than `max_bytes`.
absl::StatusOr<std::optional<std::string>> ReadSmallFile(Directory& directory,
                                                         const std::string& path,
                                                         int64_t max_bytes);

// Gives a file new content, durably and in one step: whatever happens, the file has the old content
// or the new one. Syncs the folder too. After an error either may be the case.
absl::Status ReplaceSmallFile(Directory& directory, const std::string& path,
                              std::string_view content);

// Name under which ReplaceSmallFile writes the new content of `path`, in the same folder. It begins
// with a dot and ends in ".tmp".
std::string TemporaryFor(const std::string& path);

}  // namespace ckpt::storage
