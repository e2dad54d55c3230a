#include "storage/fs/beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace ckpt::storage {
namespace {

constexpr size_t kMaxComponent = 255;

bool IsPlainComponent(std::string_view name) {
  return !name.empty() && name.size() <= kMaxComponent && name != "." && name != ".." &&
         name.find('\0') == std::string_view::npos;
}

UniqueFd OpenComponent(int folder, const std::string& name, int flags, int mode) {
  int fd;
  do {
    fd = openat(folder, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0 && errno == ENOTDIR) {
    // With O_DIRECTORY, a symbolic link is reported like any other thing that is no folder.
    struct stat info;
    const bool link =
        fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode);
    errno = link ? ELOOP : ENOTDIR;
  }
  return UniqueFd(fd);
}

}  // namespace

bool IsPlainPath(std::string_view path) {
  for (;;) {
    const size_t slash = path.find('/');
    if (!IsPlainComponent(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

UniqueFd OpenBeneath(int folder, const std::string& path, int flags, int mode) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & O_CREAT) != 0 ? static_cast<uint64_t>(mode) : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  long fd;
  do {
    fd = syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how);
  } while (fd < 0 && errno == EINTR);
  // Sandboxes that do not know the call answer EPERM; EAGAIN is a race with a rename it cannot
  // judge.
  if (fd < 0 && (errno == ENOSYS || errno == EPERM || errno == EAGAIN)) {
    return OpenByWalk(folder, path, flags, mode);
  }
  return UniqueFd(static_cast<int>(fd));
}

UniqueFd OpenByWalk(int folder, const std::string& path, int flags, int mode) {
  UniqueFd parent;
  size_t begin = 0;
  for (size_t slash; (slash = path.find('/', begin)) != std::string::npos; begin = slash + 1) {
    UniqueFd next = OpenComponent(parent.valid() ? parent.get() : folder,
                                  path.substr(begin, slash - begin), O_PATH | O_DIRECTORY, 0);
    if (!next.valid()) return next;
    parent = std::move(next);
  }
  return OpenComponent(parent.valid() ? parent.get() : folder, path.substr(begin), flags, mode);
}

}  // namespace ckpt::storage
