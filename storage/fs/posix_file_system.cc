#include "storage/fs/posix_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "storage/base/errors.h"
#include "storage/base/unique_fd.h"
#include "storage/fs/beneath.h"
#include "storage/fs/posix_file.h"

namespace ckpt::storage {
namespace {

constexpr mode_t kFileMode = 0640;
constexpr mode_t kDirectoryMode = 0750;
constexpr int kOpenFolder = O_RDONLY | O_DIRECTORY;

int FlagsOf(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead:
      return O_RDONLY;
    case OpenMode::kWrite:
      return O_RDWR | O_CREAT;
    case OpenMode::kCreate:
      return O_RDWR | O_CREAT | O_EXCL;
  }
  return O_RDONLY;
}

// Some file systems do not tell the kind of an entry, and then it is asked for. Nothing and errno
// on failure.
std::optional<FileKind> KindOf(int folder, const dirent& entry) {
  switch (entry.d_type) {
    case DT_REG:
      return FileKind::kFile;
    case DT_DIR:
      return FileKind::kDirectory;
    case DT_LNK:
      return FileKind::kSymlink;
    default:
      struct stat info;
      if (fstatat(folder, entry.d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
      return ToFileInfo(info).kind;
  }
}

class PosixDirectory final : public Directory {
 public:
  PosixDirectory(UniqueFd fd, std::string path, PosixFileSystem::Resolve resolve)
      : fd_(std::move(fd)), path_(std::move(path)), resolve_(resolve) {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  absl::StatusOr<std::optional<FileInfo>> Info(const std::string& path) override;
  absl::StatusOr<std::vector<DirectoryEntry>> List(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status RemoveDirectory(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Exchange(const std::string& a, const std::string& b) override;
  absl::Status Link(const std::string& from, const std::string& to) override;
  absl::Status Clone(const std::string& from, const std::string& to) override;
  absl::Status Unlink(const std::string& path) override;
  absl::Status Sync(const std::string& path) override;
  absl::StatusOr<int64_t> FreeBytes() override;

 private:
  // The folder of a path, opened beneath this one, and the path's last component.
  struct Place {
    UniqueFd opened;
    int folder = -1;
    std::string name;
  };

  absl::Status Error(std::string_view operation, const std::string& path, int error_number) const {
    return FileError(operation, fmt::format("{}/{}", path_, path), error_number);
  }
  // Opens `path`, which may be ".". An invalid descriptor and errno on failure.
  UniqueFd OpenAt(const std::string& path, int flags) const;
  absl::StatusOr<Place> Locate(std::string_view operation, const std::string& path) const;
  absl::Status MoveNames(std::string_view operation, const std::string& from, const std::string& to,
                         unsigned flags);

  const UniqueFd fd_;
  const std::string path_;  // for messages
  const PosixFileSystem::Resolve resolve_;
};

UniqueFd PosixDirectory::OpenAt(const std::string& path, int flags) const {
  if (path == ".") return UniqueFd(openat(fd_.get(), ".", flags | O_CLOEXEC));
  if (!IsPlainPath(path)) {
    errno = EINVAL;
    return UniqueFd();
  }
  return resolve_ == PosixFileSystem::Resolve::kOpenat2
             ? OpenBeneath(fd_.get(), path, flags, kFileMode)
             : OpenByWalk(fd_.get(), path, flags, kFileMode);
}

absl::StatusOr<PosixDirectory::Place> PosixDirectory::Locate(std::string_view operation,
                                                             const std::string& path) const {
  if (!IsPlainPath(path)) return Error(operation, path, EINVAL);
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return Place{UniqueFd(), fd_.get(), path};
  UniqueFd folder = OpenAt(path.substr(0, slash), O_PATH | O_DIRECTORY);
  if (!folder.valid()) return Error(operation, path, errno);
  const int fd = folder.get();
  return Place{std::move(folder), fd, path.substr(slash + 1)};
}

absl::StatusOr<std::unique_ptr<File>> PosixDirectory::Open(const std::string& path, OpenMode mode) {
  UniqueFd fd = OpenAt(path, FlagsOf(mode));
  if (!fd.valid()) return Error("open", path, errno);
  return std::make_unique<PosixFile>(std::move(fd), fmt::format("{}/{}", path_, path));
}

absl::StatusOr<std::optional<FileInfo>> PosixDirectory::Info(const std::string& path) {
  const UniqueFd fd = OpenAt(path, O_PATH | O_NOFOLLOW);
  if (!fd.valid() && errno == ENOENT) return std::optional<FileInfo>();
  struct stat info;
  if (!fd.valid() || fstat(fd.get(), &info) != 0) return Error("look at", path, errno);
  return std::optional<FileInfo>(ToFileInfo(info));
}

absl::StatusOr<std::vector<DirectoryEntry>> PosixDirectory::List(const std::string& path) {
  UniqueFd fd = OpenAt(path, kOpenFolder);
  if (!fd.valid()) return Error("list", path, errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(fd.get()), closedir);
  if (stream == nullptr) return Error("list", path, errno);
  fd.Release();  // the stream's now
  std::vector<DirectoryEntry> entries;
  for (;;) {
    errno = 0;
    const dirent* entry =
        readdir(stream.get());  // NOLINT(concurrency-mt-unsafe): a stream of our own
    if (entry == nullptr && errno != 0) return Error("list", path, errno);
    if (entry == nullptr) break;
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const auto kind = KindOf(dirfd(stream.get()), *entry);
    if (!kind.has_value() && errno == ENOENT) continue;  // gone since
    if (!kind.has_value()) return Error("list", path, errno);
    entries.push_back({std::move(name), *kind});
  }
  std::sort(entries.begin(), entries.end(),
            [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name < b.name; });
  return entries;
}

absl::Status PosixDirectory::MakeDirectory(const std::string& path) {
  const auto place = Locate("make folder", path);
  if (!place.ok()) return place.status();
  if (mkdirat(place->folder, place->name.c_str(), kDirectoryMode) == 0) return absl::OkStatus();
  return Error("make folder", path, errno);
}

absl::Status PosixDirectory::RemoveDirectory(const std::string& path) {
  const auto place = Locate("remove folder", path);
  if (!place.ok()) return place.status();
  if (unlinkat(place->folder, place->name.c_str(), AT_REMOVEDIR) == 0) return absl::OkStatus();
  // POSIX lets a folder that is not empty be reported in two ways.
  return Error("remove folder", path, errno == EEXIST ? ENOTEMPTY : errno);
}

absl::Status PosixDirectory::MoveNames(std::string_view operation, const std::string& from,
                                       const std::string& to, unsigned flags) {
  const auto source = Locate(operation, from);
  if (!source.ok()) return source.status();
  const auto target = Locate(operation, to);
  if (!target.ok()) return target.status();
  if (renameat2(source->folder, source->name.c_str(), target->folder, target->name.c_str(),
                flags) == 0) {
    return absl::OkStatus();
  }
  return Error(operation, fmt::format("{}' as '{}", from, to), errno);
}

absl::Status PosixDirectory::Rename(const std::string& from, const std::string& to) {
  return MoveNames("rename", from, to, 0);
}

absl::Status PosixDirectory::Exchange(const std::string& a, const std::string& b) {
  return MoveNames("exchange", a, b, RENAME_EXCHANGE);
}

absl::Status PosixDirectory::Link(const std::string& from, const std::string& to) {
  const auto source = Locate("link", from);
  if (!source.ok()) return source.status();
  const auto target = Locate("link", to);
  if (!target.ok()) return target.status();
  if (linkat(source->folder, source->name.c_str(), target->folder, target->name.c_str(), 0) == 0) {
    return absl::OkStatus();
  }
  return Error("link", fmt::format("{}' as '{}", from, to), errno);
}

absl::Status PosixDirectory::Clone(const std::string& from, const std::string& to) {
  const UniqueFd source = OpenAt(from, O_RDONLY);
  if (!source.valid()) return Error("clone", from, errno);
  const UniqueFd target = OpenAt(to, O_RDWR | O_CREAT | O_EXCL);
  if (!target.valid()) return Error("clone", to, errno);
  if (ioctl(target.get(), FICLONE, source.get()) == 0) return absl::OkStatus();
  // File systems tell that they cannot in several ways.
  const bool unsupported = errno == EINVAL || errno == ENOTTY || errno == ENOSYS || errno == EXDEV;
  absl::Status status = Error("clone", to, unsupported ? EOPNOTSUPP : errno);
  if (absl::Status removed = Unlink(to); !removed.ok()) return removed;
  return status;
}

absl::Status PosixDirectory::Unlink(const std::string& path) {
  const auto place = Locate("remove", path);
  if (!place.ok()) return place.status();
  if (unlinkat(place->folder, place->name.c_str(), 0) == 0) return absl::OkStatus();
  return Error("remove", path, errno);
}

absl::Status PosixDirectory::Sync(const std::string& path) {
  const UniqueFd fd = OpenAt(path, kOpenFolder);
  if (!fd.valid() || fsync(fd.get()) != 0) return Error("sync folder", path, errno);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> PosixDirectory::FreeBytes() {
  struct statvfs info;
  if (fstatvfs(fd_.get(), &info) != 0) return Error("look at", ".", errno);
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

// Makes one folder and its name durable; OK if there is one.
absl::Status MakeDurableFolder(const std::string& path) {
  if (mkdir(path.c_str(), kDirectoryMode) != 0) {
    if (errno == EEXIST) return absl::OkStatus();
    return FileError("make folder", path, errno);
  }
  const std::string inside = path + "/..";
  const UniqueFd parent(open(inside.c_str(), kOpenFolder | O_CLOEXEC));
  if (!parent.valid() || fsync(parent.get()) != 0) return FileError("sync folder", inside, errno);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Directory>> PosixFileSystem::OpenDirectory(const std::string& path) {
  UniqueFd fd(open(path.c_str(), kOpenFolder | O_CLOEXEC));
  if (!fd.valid() && errno == ENOENT) {
    for (size_t end = path.find_first_not_of('/'); end < path.size();) {
      end = std::min(path.find('/', end), path.size());
      if (absl::Status made = MakeDurableFolder(path.substr(0, end)); !made.ok()) return made;
      end = path.find_first_not_of('/', end);
    }
    fd = UniqueFd(open(path.c_str(), kOpenFolder | O_CLOEXEC));
  }
  if (!fd.valid()) return FileError("open folder", path, errno);
  return std::make_unique<PosixDirectory>(std::move(fd), path, resolve_);
}

int ErrnoOf(const absl::Status& status) {
  if (status.ok()) return 0;
  const ErrorMetadata metadata = MetadataOf(status);
  const auto it = metadata.find("errno");
  int number = 0;
  if (it != metadata.end()) {
    std::from_chars(it->second.data(), it->second.data() + it->second.size(), number);
  }
  return number;
}

}  // namespace ckpt::storage
