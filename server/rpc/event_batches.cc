#include "server/rpc/event_batches.h"

#include <utility>

namespace ckpt::server {
namespace {

constexpr size_t kMaxKept = 4;  // while one is taken on another thread, the next ones are read
constexpr int kMaxKeptEvents = 256;
constexpr size_t kMaxKeptBytes = 64 << 10;
// To add a batch's memory up takes time. Each event keeps room for the most metrics that it ever
// had; what that makes in the end is looked at once in so many uses.
constexpr int kUsesUnseen = 64;

}  // namespace

std::shared_ptr<v1::EventBatch> EventBatches::Take(size_t message_bytes) {
  std::unique_ptr<Batch> batch;
  {
    const std::lock_guard lock(mutex_);
    if (!kept_.empty()) {
      batch = std::move(kept_.front());
      kept_.pop_front();
    }
  }
  if (batch == nullptr) batch = std::make_unique<Batch>();
  batch->message_bytes = message_bytes;
  const std::shared_ptr<Batch> shared(batch.release(), [weak = weak_from_this()](Batch* used) {
    std::unique_ptr<Batch> owned(used);
    if (const auto batches = weak.lock()) batches->Keep(std::move(owned));
  });
  return {shared, &shared->events};
}

void EventBatches::Keep(std::unique_ptr<Batch> batch) {
  if (batch->message_bytes > kMaxKeptBytes) return;
  if (batch->events.events_size() > kMaxKeptEvents) return;
  const bool look = ++batch->uses % kUsesUnseen == 0;
  if (look && batch->events.SpaceUsedLong() > kMaxKeptBytes) return;
  const std::lock_guard lock(mutex_);
  if (kept_.size() < kMaxKept) kept_.push_back(std::move(batch));
}

}  // namespace ckpt::server
