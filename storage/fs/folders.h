// Folders: making, removing, and the paths of them.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

// The folder that a path's last component is in; "." for a path of one component.
std::string FolderOf(const std::string& path);

// Makes a folder in a folder that exists, or finds it there; either way it is durable when this
// returns OK. ENOTDIR if something else is in the way.
absl::Status EnsureFolder(Directory& directory, const std::string& path);

// Removes whatever is at `path`, symbolic links not followed. OK if nothing is. Returns whether
// something was. Does not sync. After an error some of it may be gone.
absl::StatusOr<bool> RemoveTree(Directory& directory, const std::string& path);

}  // namespace ckpt::storage
