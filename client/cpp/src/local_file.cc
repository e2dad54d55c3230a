#include "client/cpp/src/local_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

namespace ckpt::client {
namespace {

constexpr size_t kReadBytes = 1 << 20;

absl::Status ErrorOf(std::string_view what, const std::string& path, int error) {
  const std::string message =
      fmt::format("cannot {} '{}': {}", what, path, std::generic_category().message(error));
  return error == ENOSPC || error == EDQUOT ? absl::ResourceExhaustedError(message)
                                            : absl::FailedPreconditionError(message);
}

}  // namespace

absl::StatusOr<LocalFile> LocalFile::Open(const std::string& path) {
  // Not through a symbolic link: the file it leads to was never meant.
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrorOf("open", path, errno);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(fmt::format("'{}' is being written already", path));
  }
  return LocalFile(std::move(fd), path);
}

absl::StatusOr<int64_t> LocalFile::Size() const {
  struct stat status {};
  if (fstat(fd_.get(), &status) != 0) return ErrorOf("examine", path_, errno);
  return status.st_size;
}

absl::Status LocalFile::ReadAll(absl::FunctionRef<void(std::string_view)> sink) const {
  const auto buffer = std::make_unique<char[]>(kReadBytes);
  off_t offset = 0;
  while (true) {
    const ssize_t got = pread(fd_.get(), buffer.get(), kReadBytes, offset);
    if (got == 0) return absl::OkStatus();
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrorOf("read", path_, errno);
    sink({buffer.get(), static_cast<size_t>(got)});
    offset += got;
  }
}

absl::Status LocalFile::Append(std::span<const std::string_view> pieces) {
  std::vector<iovec> rest;
  for (const std::string_view piece : pieces) {
    if (!piece.empty()) rest.push_back({const_cast<char*>(piece.data()), piece.size()});
  }
  for (size_t next = 0; next < rest.size();) {
    const size_t count = std::min<size_t>(rest.size() - next, IOV_MAX);
    const ssize_t written = writev(fd_.get(), &rest[next], static_cast<int>(count));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrorOf("write", path_, errno);
    for (auto left = static_cast<size_t>(written); left > 0;) {
      iovec& piece = rest[next];
      const size_t taken = std::min(left, piece.iov_len);
      piece = {static_cast<char*>(piece.iov_base) + taken, piece.iov_len - taken};
      left -= taken;
      if (piece.iov_len == 0) ++next;
    }
  }
  return absl::OkStatus();
}

absl::Status LocalFile::Clear() {
  return ftruncate(fd_.get(), 0) == 0 ? absl::OkStatus() : ErrorOf("truncate", path_, errno);
}

absl::Status LocalFile::Sync() {
  return fsync(fd_.get()) == 0 ? absl::OkStatus() : ErrorOf("sync", path_, errno);
}

bool IsFolder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

bool IsNoFile(const std::string& path) {
  std::error_code ignored;
  const auto status = std::filesystem::symlink_status(path, ignored);
  return std::filesystem::exists(status) && !std::filesystem::is_regular_file(status);
}

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(std::filesystem::symlink_status(path, ignored));
}

absl::Status RemoveFile(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrorOf("remove", path, errno);
}

absl::Status PrepareFolder(const std::string& path,
                           absl::FunctionRef<bool(std::string_view)> keep) {
  if (mkdir(path.c_str(), 0755) != 0 && !(errno == EEXIST && IsFolder(path))) {
    return ErrorOf("make the folder", path, errno);
  }
  std::error_code error;
  for (std::filesystem::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    if (keep(entry->path().filename().string())) continue;
    if (absl::Status status = RemoveFile(entry->path().string()); !status.ok()) return status;
  }
  return error ? ErrorOf("list", path, error.value()) : absl::OkStatus();
}

absl::Status RenameDurably(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) return ErrorOf("put in place", to, errno);
  const std::string parent = std::filesystem::path(to).parent_path().string();
  return SyncFolder(parent.empty() ? "." : parent);
}

absl::Status SyncFolder(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return ErrorOf("open", path, errno);
  return fsync(fd.get()) == 0 ? absl::OkStatus() : ErrorOf("sync", path, errno);
}

}  // namespace ckpt::client
