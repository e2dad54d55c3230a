// Space on the disk for uploads, some of which stays free for everything else.
#pragma once

#include <cstdint>
#include <mutex>
#include <string_view>

#include "absl/status/status.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

// Uploads never take the last bytes of a disk: the index needs some to go on, also to record what
// was deleted. Thread-safe.
class FreeSpace {
 public:
  // `root` is the data folder and outlives this. `kept_bytes` stay free.
  FreeSpace(Directory& root, int64_t kept_bytes) : root_(root), kept_bytes_(kept_bytes) {}

  // Reserves the first `size` bytes of `file`, `have` of which are written; a `size` of 0 is not
  // known yet, and only asks whether there is room at all. `part` is for messages. DISK_FULL, with
  // nothing reserved, if the rest does not fit beside what is kept; STORAGE_FAILED.
  absl::Status Reserve(File& file, std::string_view part, int64_t have, int64_t size);

 private:
  Directory& root_;
  const int64_t kept_bytes_;
  std::mutex mutex_;  // two that fit one by one may not fit together
};

}  // namespace ckpt::storage
