#include "client/cpp/src/backoff.h"

#include <algorithm>

#include "client/cpp/src/rpc_status.h"

namespace ckpt::client {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirst{50};
constexpr milliseconds kLast{500};
// A daemon's wish is honoured up to here.
constexpr milliseconds kLongest{60'000};

}  // namespace

Backoff::Backoff(uint32_t seed) : random_(seed), step_(kFirst) {}

milliseconds Backoff::Next(const absl::Status& error) {
  std::uniform_int_distribution<int64_t> draw(step_.count() / 2, step_.count());
  const milliseconds own{draw(random_)};
  step_ = std::min(step_ * 2, kLast);
  return std::max(own, std::min(RetryDelayOf(error).value_or(milliseconds(0)), kLongest));
}

void Backoff::Reset() { step_ = kFirst; }

}  // namespace ckpt::client
