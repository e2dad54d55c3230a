// Copies of files.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

// Copies the bytes of `from` into the new file `to` and makes them durable; the folder is the
// caller's to sync. EEXIST. After an error an incomplete `to` may be there.
absl::Status CopyFile(Directory& source, const std::string& from, Directory& target,
                      const std::string& to, int mode);

}  // namespace ckpt::storage
