#include "client/cpp/src/local_pool.h"

#include <algorithm>
#include <utility>

namespace ckpt::client {
namespace {

// Numbers of a snapshot's slots, so that those of others differ.
constexpr uint32_t kNumbers = 1 << 20;

}  // namespace

LocalSlot* LocalSnapshot::Fit(size_t place, size_t size, std::unique_ptr<LocalSlot>& released) {
  if (slots_.size() <= place) slots_.resize(place + 1);
  std::unique_ptr<LocalSlot>& slot = slots_[place];
  if (slot != nullptr && slot->capacity() >= size) return slot.get();
  released = std::move(slot);
  absl::StatusOr<std::unique_ptr<LocalSlot>> made = LocalSlot::Make(next_number_++, size);
  if (!made.ok()) return nullptr;
  slot = *std::move(made);
  return slot.get();
}

void LocalPool::Reserve(size_t count, size_t size) {
  std::vector<std::shared_ptr<LocalSnapshot>> taken;
  std::unique_ptr<LocalSlot> none;
  for (size_t i = 0; i < count; ++i) {
    taken.push_back(Take());
    if (taken.back() == nullptr || taken.back()->Fit(0, size, none) == nullptr) return;
  }
}

void LocalPool::Allow(size_t limit) {
  std::lock_guard lock(mutex_);
  limit_ = limit;
}

std::shared_ptr<LocalSnapshot> LocalPool::Take() {
  std::lock_guard lock(mutex_);
  if (free_.empty() && made_ >= limit_) return nullptr;
  std::unique_ptr<LocalSnapshot> snapshot = free_.empty() ? New() : std::move(free_.back());
  if (!free_.empty()) free_.pop_back();
  return {snapshot.release(), [pool = shared_from_this()](LocalSnapshot* returned) {
            std::lock_guard returning(pool->mutex_);
            pool->free_.emplace_back(returned);
          }};
}

std::unique_ptr<LocalSnapshot> LocalPool::New() {
  return std::make_unique<LocalSnapshot>(static_cast<uint32_t>(++made_) * kNumbers);
}

}  // namespace ckpt::client
