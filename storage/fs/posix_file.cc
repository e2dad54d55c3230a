#include "storage/fs/posix_file.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "storage/base/errors.h"

namespace ckpt::storage {
namespace {

// Calls a system call again for as long as a signal interrupts it.
template <typename Call>
auto Uninterrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

// Removes the first `bytes` from the vector that starts at `*next`.
void Advance(std::vector<iovec>& pieces, size_t* next, size_t bytes) {
  while (*next < pieces.size() && bytes >= pieces[*next].iov_len) {
    bytes -= pieces[*next].iov_len;
    ++*next;
  }
  if (bytes == 0) return;
  pieces[*next].iov_base = static_cast<char*>(pieces[*next].iov_base) + bytes;
  pieces[*next].iov_len -= bytes;
}

FileKind KindOf(mode_t mode) {
  if (S_ISREG(mode)) return FileKind::kFile;
  if (S_ISDIR(mode)) return FileKind::kDirectory;
  return S_ISLNK(mode) ? FileKind::kSymlink : FileKind::kOther;
}

}  // namespace

FileInfo ToFileInfo(const struct stat& info) {
  constexpr int64_t kNanosPerSecond = 1'000'000'000;
  return {.kind = KindOf(info.st_mode),
          .size = info.st_size,
          .inode = info.st_ino,
          .links = info.st_nlink,
          .mode = static_cast<int>(info.st_mode & 07777),
          .mtime_unix_nanos = info.st_mtim.tv_sec * kNanosPerSecond + info.st_mtim.tv_nsec};
}

absl::Status PosixFile::Write(int64_t offset, std::span<const std::string_view> pieces) {
  std::vector<iovec> vector;
  vector.reserve(pieces.size());
  for (const std::string_view piece : pieces) {
    if (piece.empty()) continue;
    vector.push_back({const_cast<char*>(piece.data()), piece.size()});
  }
  for (size_t next = 0; next < vector.size();) {
    const int count = static_cast<int>(std::min<size_t>(vector.size() - next, IOV_MAX));
    const ssize_t written =
        Uninterrupted([&] { return pwritev(fd_.get(), &vector[next], count, offset); });
    if (written < 0) return FileError("write", path_, errno);
    offset += written;
    Advance(vector, &next, static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> PosixFile::Read(int64_t offset, std::span<char> buffer) const {
  size_t filled = 0;
  while (filled < buffer.size()) {
    const ssize_t got = Uninterrupted([&] {
      return pread(fd_.get(), buffer.data() + filled, buffer.size() - filled,
                   offset + static_cast<int64_t>(filled));
    });
    if (got < 0) return FileError("read", path_, errno);
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  return static_cast<int64_t>(filled);
}

absl::Status PosixFile::Sync() {
  if (fdatasync(fd_.get()) != 0) return FileError("sync", path_, errno);
  return absl::OkStatus();
}

absl::Status PosixFile::StartWriteback(int64_t offset, int64_t length) {
  if (sync_file_range(fd_.get(), offset, length, SYNC_FILE_RANGE_WRITE) == 0 || errno == ENOSYS ||
      errno == EOPNOTSUPP) {
    return absl::OkStatus();
  }
  return FileError("write back", path_, errno);
}

absl::Status PosixFile::Truncate(int64_t size) {
  if (Uninterrupted([&] { return ftruncate(fd_.get(), size); }) != 0) {
    return FileError("truncate", path_, errno);
  }
  return absl::OkStatus();
}

absl::Status PosixFile::Reserve(int64_t size) {
  if (size <= 0 ||
      Uninterrupted([&] { return fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, 0, size); }) == 0 ||
      errno == EOPNOTSUPP || errno == ENOSYS) {
    return absl::OkStatus();
  }
  return FileError("reserve space for", path_, errno);
}

absl::Status PosixFile::SetDirect(bool direct) {
  const int flags = fcntl(fd_.get(), F_GETFL);
  const int wanted = direct ? flags | O_DIRECT : flags & ~O_DIRECT;
  if (flags < 0 || fcntl(fd_.get(), F_SETFL, wanted) != 0) {
    return FileError("set direct writing of", path_, errno);
  }
  return absl::OkStatus();
}

absl::Status PosixFile::SetMode(int mode) {
  if (fchmod(fd_.get(), static_cast<mode_t>(mode)) != 0) {
    return FileError("set the mode of", path_, errno);
  }
  return absl::OkStatus();
}

absl::StatusOr<FileInfo> PosixFile::Info() const {
  struct stat info;
  if (fstat(fd_.get(), &info) != 0) return FileError("look at", path_, errno);
  return ToFileInfo(info);
}

void PosixFile::DropCache() { posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED); }

absl::StatusOr<bool> PosixFile::TryLock() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (fcntl(fd_.get(), F_OFD_SETLK, &lock) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  return FileError("lock", path_, errno);
}

}  // namespace ckpt::storage
