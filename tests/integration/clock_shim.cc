// Loaded into the daemon by LD_PRELOAD: moves its wall clock, and no other, by the nanoseconds that
// the file CLOCK_OFFSET begins with, which may change at any time.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

int64_t Offset() {
  static const auto* const offset = [] {
    const int fd = open(std::getenv("CLOCK_OFFSET"), O_RDONLY | O_CLOEXEC);
    void* const memory = mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) std::abort();
    return static_cast<const std::atomic<int64_t>*>(memory);
  }();
  return offset->load();
}

int64_t WallNanos() {
  timespec now = {};
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  return now.tv_sec * kNanosPerSecond + now.tv_nsec + Offset();
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) noexcept {
  if (clock != CLOCK_REALTIME) return static_cast<int>(syscall(SYS_clock_gettime, clock, now));
  const int64_t nanos = WallNanos();
  *now = {.tv_sec = nanos / kNanosPerSecond, .tv_nsec = nanos % kNanosPerSecond};
  return 0;
}

int gettimeofday(timeval* now, void* /*zone*/) noexcept {
  const int64_t nanos = WallNanos();
  *now = {.tv_sec = nanos / kNanosPerSecond, .tv_usec = nanos % kNanosPerSecond / 1000};
  return 0;
}

time_t time(time_t* now) noexcept {
  const time_t seconds = WallNanos() / kNanosPerSecond;
  if (now != nullptr) *now = seconds;
  return seconds;
}

}  // extern "C"
