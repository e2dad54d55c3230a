// Pauses between attempts.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>

#include "absl/status/status.h"

namespace ckpt::client {

// Exponential, from 50 ms to 500 ms (a daemon's restart is a matter of moments, and a trainer may
// be waiting), each drawn between half and the whole of the step so that many trainers do not come
// back at once. Not thread-safe.
class Backoff {
 public:
  explicit Backoff(uint32_t seed = std::random_device{}());

  // The pause after a failure: at least what the daemon asked for in `error`.
  std::chrono::milliseconds Next(const absl::Status& error);
  // After a success.
  void Reset();

 private:
  std::minstd_rand random_;
  std::chrono::milliseconds step_;
};

}  // namespace ckpt::client
