// Work at a bounded rate.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace ckpt::server {

// How long to wait so that, from the first moment on, no more than a number of bytes a second are
// read. Not thread-safe.
class Pace {
 public:
  explicit Pace(int64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  // After `bytes` in all.
  std::chrono::milliseconds Wait(int64_t bytes) const {
    const std::chrono::milliseconds due(bytes * 1000 / bytes_per_second_);
    const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - begin_);
    return std::max(due - passed, std::chrono::milliseconds(0));
  }

 private:
  const int64_t bytes_per_second_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace ckpt::server
