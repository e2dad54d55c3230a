// Tells at which batch ends a decision may be due.
#pragma once

#include <cstdint>
#include <optional>

namespace ckpt::client {

// Counts batch ends down from the daemon's promise (see v1::Decision.quiet_batches). Errs towards
// "due": waiting for a decision that nobody makes costs a round trip, missing one costs a save at
// its moment. Not thread-safe.
class QuietCounter {
 public:
  // A promise as of the newest batch end that has been counted.
  void Restart(int64_t quiet_batches) { remaining_ = quiet_batches; }
  // A promise as of a batch end that this counter may not have seen.
  void RestartElsewhere(int64_t quiet_batches) {
    remaining_ = quiet_batches;
    previous_.reset();
  }

  // Batch `batch` has ended. Returns whether a policy may act on it.
  bool Count(int64_t batch) {
    const bool above = previous_.has_value() && batch > *previous_;
    const int64_t step = above ? batch - *previous_ : batch + 1;
    previous_ = batch;
    if (remaining_ > 0) remaining_ -= step;
    return remaining_ <= 0;
  }

 private:
  int64_t remaining_ = 0;
  std::optional<int64_t> previous_;
};

}  // namespace ckpt::client
