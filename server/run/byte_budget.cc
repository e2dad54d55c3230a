#include "server/run/byte_budget.h"

#include <utility>
#include <vector>

namespace ckpt::server {

void ByteBudget::Acquire(int64_t bytes, Granted granted) {
  {
    const std::lock_guard lock(mutex_);
    if (!waiters_.empty() || bytes > free_) {
      waiters_.push_back({bytes, std::move(granted)});
      return;
    }
    free_ -= bytes;
  }
  granted();
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
