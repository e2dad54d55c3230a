// Loaded into the daemon by LD_PRELOAD, to show that the tests notice what it breaks.
//
//   CRASH_SYNCS=off      nothing is ever synced
//   CRASH_SYNCS=retried  a sync that fails is tried once more
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace {

bool SyncsAre(const char* how) {
  const char* const wanted = std::getenv("CRASH_SYNCS");
  return wanted != nullptr && std::strcmp(wanted, how) == 0;
}

int Sync(long call, int fd) {
  if (SyncsAre("off")) return 0;
  const long result = syscall(call, fd);
  return static_cast<int>(result < 0 && SyncsAre("retried") ? syscall(call, fd) : result);
}

}  // namespace

extern "C" {

int fsync(int fd) { return Sync(SYS_fsync, fd); }
int fdatasync(int fd) { return Sync(SYS_fdatasync, fd); }
int syncfs(int fd) noexcept { return Sync(SYS_syncfs, fd); }

int sync_file_range(int fd, off64_t offset, off64_t bytes, unsigned flags) {
  if (SyncsAre("off")) return 0;
  return static_cast<int>(syscall(SYS_sync_file_range, fd, offset, bytes, flags));
}

int msync(void* memory, size_t bytes, int flags) {
  if (SyncsAre("off")) return 0;
  return static_cast<int>(syscall(SYS_msync, memory, bytes, flags));
}

}  // extern "C"
