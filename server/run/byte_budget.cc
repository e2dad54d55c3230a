#include "server/run/byte_budget.h"

#include <utility>
#include <vector>

namespace ckpt::server {

void ByteBudget::Acquire(int64_t bytes, Granted granted) {
  {
    const std::lock_guard lock(mutex_);
    if (!Take(bytes, 0)) {
      waiters_.push_back({bytes, std::move(granted)});
      return;
    }
  }
  granted();
}

bool ByteBudget::TryAcquire(int64_t bytes, int64_t spare) {
  const std::lock_guard lock(mutex_);
  return Take(bytes, spare);
}

bool ByteBudget::Take(int64_t bytes, int64_t spare) {
  if (!waiters_.empty() || bytes + spare > free_) return false;
  free_ -= bytes;
  return true;
}

void ByteBudget::Release(int64_t bytes) {
  std::vector<Granted> ready;
  {
    const std::lock_guard lock(mutex_);
    free_ += bytes;
    while (!waiters_.empty() && waiters_.front().bytes <= free_) {
      free_ -= waiters_.front().bytes;
      ready.push_back(std::move(waiters_.front().granted));
      waiters_.pop_front();
    }
  }
  for (Granted& granted : ready) granted();
}

}  // namespace ckpt::server
