#include "storage/blob/free_space.h"

#include <fmt/format.h>

#include <algorithm>

#include "storage/base/errors.h"

namespace ckpt::storage {

absl::Status FreeSpace::Reserve(File& file, std::string_view part, int64_t have, int64_t size) {
  if (size > 0 && size <= have) return absl::OkStatus();
  const int64_t needed = std::max(size - have, int64_t{0});
  const std::lock_guard lock(mutex_);
  const auto free = root_.FreeBytes();
  if (!free.ok()) return free.status();
  // Asked first: a reservation that fails would take everything there is for a moment.
  if (*free < kept_bytes_ || *free - kept_bytes_ < needed) {
    return DiskFull(
        fmt::format("part '{}' needs {}, but of {} free bytes {} are kept in reserve "
                    "(limits.free_space_reserve_mib); free some space, as with 'ckptctl rm'",
                    part, size > 0 ? fmt::format("{} bytes", needed) : "space", *free,
                    std::min(*free, kept_bytes_)));
  }
  if (size == 0) return absl::OkStatus();
  absl::Status status = file.Reserve(size);
  if (!status.ok()) file.Truncate(have).IgnoreError();
  return status;
}

}  // namespace ckpt::storage
