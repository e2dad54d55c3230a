// The data folder itself: making it, and making sure that it is ours alone.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

struct DataDir {
  std::string path;  // absolute
  std::unique_ptr<Directory> root;
  std::unique_ptr<File> lock;  // held for as long as this is open
};

// Creates the folder (mode 0750) if missing, takes its lock, checks its version and makes the
// folders in it. DATA_DIR_IN_USE with the holder's pid; VERSION_TOO_NEW; FIELD_INVALID with a
// remedy if the path is no folder, may not be written, or has lost its VERSION, as an unfinished
// backup has none.
absl::StatusOr<DataDir> OpenDataDir(FileSystem& file_system, const std::string& path);

// To be asked before the index is opened, which creates it if it is missing. INDEX_DAMAGED if it is
// missing and there are checkpoints, or a rebuilt index that has not taken its place. Removes what
// an unfinished rebuild has left.
absl::Status CheckIndex(Directory& root, const std::string& path);

}  // namespace ckpt::storage
