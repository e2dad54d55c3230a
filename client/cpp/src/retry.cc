#include "client/cpp/src/retry.h"

#include "client/cpp/src/rpc_status.h"
#include "storage/base/errors.h"

namespace ckpt::client {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMaxDamaged = 3;

bool IsDamage(v1::ErrorReason reason) {
  return reason == v1::ERROR_REASON_CHUNK_CORRUPT || reason == v1::ERROR_REASON_DIGEST_MISMATCH;
}

}  // namespace

Retry::Retry(std::chrono::milliseconds patience) : patience_(patience) {}

std::optional<std::chrono::milliseconds> Retry::After(const absl::Status& error, bool progressed) {
  if (IsDamage(ReasonOf(error))) {
    if (++damaged_ == kMaxDamaged) return std::nullopt;
    return backoff_.Next(error);
  }
  if (!IsTransient(error)) return std::nullopt;
  if (progressed) {
    backoff_.Reset();
    last_progress_ = Clock::now();
  } else if (Clock::now() - last_progress_ >= patience_) {
    return std::nullopt;
  }
  return backoff_.Next(error);
}

}  // namespace ckpt::client
