// Memory shared by many: by all uploads, by all events on their way to the index.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>

#include "absl/functional/any_invocable.h"

namespace ckpt::server {

// Hands out bytes, first come first served. Thread-safe.
class ByteBudget {
 public:
  using Granted = absl::AnyInvocable<void()>;

  explicit ByteBudget(int64_t bytes) : bytes_(bytes), free_(bytes) {}

  int64_t bytes() const { return bytes_; }

  // Calls `granted` when `bytes` (at most the whole budget) are the caller's: at once on this
  // thread, or later on a thread that releases some. `granted` must not block.
  void Acquire(int64_t bytes, Granted granted);
  // Whether `bytes` are the caller's. They are not if others wait, nor if fewer than `spare` would
  // be left.
  bool TryAcquire(int64_t bytes, int64_t spare = 0);
  void Release(int64_t bytes);

 private:
  struct Waiter {
    int64_t bytes;
    Granted granted;
  };
  bool Take(int64_t bytes, int64_t spare);  // requires mutex_

  const int64_t bytes_;
  std::mutex mutex_;
  int64_t free_;                // guarded by mutex_
  std::deque<Waiter> waiters_;  // guarded by mutex_
};

// Bytes that were granted; released when this goes. Not thread-safe.
class ByteGrant {
 public:
  ByteGrant(ByteBudget& budget, int64_t bytes) : budget_(&budget), bytes_(bytes) {}
  ByteGrant(ByteGrant&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
  ByteGrant& operator=(ByteGrant&&) = delete;
  ~ByteGrant() {
    if (budget_ != nullptr) budget_->Release(bytes_);
  }

 private:
  ByteBudget* budget_;
  int64_t bytes_;
};

}  // namespace ckpt::server
