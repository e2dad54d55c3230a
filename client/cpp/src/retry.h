// Whether and when to try a transfer again.
#pragma once

#include <chrono>
#include <optional>

#include "absl/status/status.h"
#include "client/cpp/src/backoff.h"

namespace ckpt::client {

// One transfer, which may take several attempts. Not thread-safe.
class Retry {
 public:
  // Gives up on transient errors after `patience` without progress, and at the third time that the
  // bytes were damaged on their way.
  explicit Retry(std::chrono::milliseconds patience);

  // After an attempt that failed: the pause before the next one, or nothing when `error` stands.
  // `progressed`: the attempt got further than those before.
  std::optional<std::chrono::milliseconds> After(const absl::Status& error, bool progressed);

 private:
  const std::chrono::milliseconds patience_;
  Backoff backoff_;
  std::chrono::steady_clock::time_point last_progress_ = std::chrono::steady_clock::now();
  int damaged_ = 0;
};

}  // namespace ckpt::client
