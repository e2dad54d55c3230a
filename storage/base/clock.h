// Time, injected so that tests own it.
#pragma once

#include <chrono>
#include <cstdint>

namespace ckpt {

// Wall-clock time for records and messages. Decisions never depend on it. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Nanoseconds since 1970 UTC.
  virtual int64_t UnixNanos() const = 0;
};

class SystemClock final : public Clock {
 public:
  int64_t UnixNanos() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

}  // namespace ckpt
