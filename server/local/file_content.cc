#include "server/local/file_content.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

absl::Status Invalid(std::string_view rule) {
  return FieldInvalid("submit.file", "descriptor", rule);
}

}  // namespace

absl::StatusOr<std::unique_ptr<const FileContent>> FileContent::Open(UniqueFd file, int64_t size,
                                                                     SlotMemory& memory) {
  struct stat info;
  struct statfs system;
  if (fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      fstatfs(file.get(), &system) != 0 || system.f_type != TMPFS_MAGIC) {
    return Invalid("it must be a memfd or a file of a tmpfs");
  }
  const int flags = fcntl(file.get(), F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY || (flags & O_PATH) != 0) {
    return Invalid("it must be open for reading");
  }
  if (info.st_size != size) {
    return Invalid(fmt::format("it has {} bytes, and start.size says {}", info.st_size, size));
  }
  auto grant = memory.Take(size);
  if (!grant.ok()) return grant.status();
  return std::unique_ptr<const FileContent>(
      new FileContent(std::move(file), size, *std::move(grant)));
}

absl::Status FileContent::Read(int64_t offset, std::span<char> buffer) const {
  while (!buffer.empty()) {
    const ssize_t got = pread(file_.get(), buffer.data(), buffer.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FileError("pread", "file handed over", errno);
    if (got == 0) return Invalid("it was shortened before it was stored");
    offset += got;
    buffer = buffer.subspan(static_cast<size_t>(got));
  }
  return absl::OkStatus();
}

}  // namespace ckpt::server
