// Memory shared by all uploads.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>

#include "absl/functional/any_invocable.h"

namespace ckpt::server {

// Hands out bytes, first come first served. Thread-safe.
class ByteBudget {
 public:
  using Granted = absl::AnyInvocable<void()>;

  explicit ByteBudget(int64_t bytes) : free_(bytes) {}

  // Calls `granted` when `bytes` (at most the whole budget) are the caller's: at once on this
  // thread, or later on a thread that releases some. `granted` must not block.
  void Acquire(int64_t bytes, Granted granted);
  void Release(int64_t bytes);

 private:
  struct Waiter {
    int64_t bytes;
    Granted granted;
  };
  std::mutex mutex_;
  int64_t free_;                // guarded by mutex_
  std::deque<Waiter> waiters_;  // guarded by mutex_
};

}  // namespace ckpt::server
