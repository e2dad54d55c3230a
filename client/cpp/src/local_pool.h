// The slots of a run, used again from save to save.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "client/cpp/src/local_slot.h"

namespace ckpt::client {

// Slots for one save, one for each part by its place. Whoever has it fills them.
class LocalSnapshot {
 public:
  explicit LocalSnapshot(uint32_t first_number) : next_number_(first_number) {}

  // The slot for the part at `place`, of at least `size` bytes; null when there is no memory for
  // it. A smaller slot that was there is given to `released`.
  LocalSlot* Fit(size_t place, size_t size, std::unique_ptr<LocalSlot>& released);

 private:
  std::vector<std::unique_ptr<LocalSlot>> slots_;
  uint32_t next_number_;
};

// Thread-safe.
class LocalPool : public std::enable_shared_from_this<LocalPool> {
 public:
  // At most `limit` snapshots.
  explicit LocalPool(size_t limit) : limit_(limit) {}
  // From now on.
  void Allow(size_t limit);

  // Makes `count` snapshots with a slot of `size` bytes each; fewer when there is no memory.
  void Reserve(size_t count, size_t size);
  // A snapshot for as long as the pointer is held; null while all are. What was used last comes
  // first: it is warm.
  std::shared_ptr<LocalSnapshot> Take();

 private:
  std::unique_ptr<LocalSnapshot> New();  // with the lock held

  std::mutex mutex_;
  size_t limit_;
  size_t made_ = 0;
  std::vector<std::unique_ptr<LocalSnapshot>> free_;
};

}  // namespace ckpt::client
