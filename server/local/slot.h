// A slot: memory of a trainer that the daemon maps, too.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "storage/base/unique_fd.h"
#include "storage/fs/content.h"

namespace ckpt::server {

// The header before a slot's content; see proto/ckpt/v1/local.proto.
inline constexpr int64_t kSlotHeaderBytes = 4096;

// What all slots, and files that are handed over, take together. Thread-safe. Outlives its grants.
class SlotMemory {
 public:
  // Some of it; given back when this goes. Not thread-safe.
  class Grant {
   public:
    Grant(Grant&& other) noexcept
        : memory_(std::exchange(other.memory_, nullptr)), bytes_(other.bytes_) {}
    Grant& operator=(Grant&&) = delete;
    ~Grant() {
      if (memory_ != nullptr) memory_->Return(bytes_);
    }

   private:
    friend class SlotMemory;
    Grant(SlotMemory& memory, int64_t bytes) : memory_(&memory), bytes_(bytes) {}
    SlotMemory* memory_;
    int64_t bytes_;
  };

  explicit SlotMemory(int64_t bytes) : limit_(bytes) {}
  // LIMIT_EXCEEDED. `bytes` are not negative.
  absl::StatusOr<Grant> Take(int64_t bytes);
  int64_t taken() const { return taken_.load(); }
  // Grants that are out.
  int64_t grants() const { return grants_.load(); }

 private:
  void Return(int64_t bytes) {
    taken_.fetch_sub(bytes);
    grants_.fetch_sub(1);
  }

  const int64_t limit_;
  std::atomic<int64_t> taken_ = 0;
  std::atomic<int64_t> grants_ = 0;
};

// Mapped read-only for its life. The trainer's process may write into it at any time, and is
// trusted with nothing: the seals keep the memory from shrinking away under a read. Thread-safe.
class Slot {
 public:
  // `size`: bytes of content. FIELD_INVALID: not a memfd of ordinary pages, not sealed against
  // shrinking and growing, or smaller than the header and `size`. LIMIT_EXCEEDED as SlotMemory.
  static absl::StatusOr<std::shared_ptr<const Slot>> Map(const UniqueFd& memfd, int64_t size,
                                                         SlotMemory& memory);
  ~Slot();
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  int64_t size() const { return size_; }
  // As the trainer has last set it: odd while it writes.
  uint64_t generation() const;
  std::string_view content() const {
    return {mapping_ + kSlotHeaderBytes, static_cast<size_t>(size_)};
  }

 private:
  Slot(const char* mapping, int64_t size, SlotMemory::Grant memory)
      : mapping_(mapping), size_(size), memory_(std::move(memory)) {}

  const char* const mapping_;
  const int64_t size_;
  const SlotMemory::Grant memory_;
};

// The first `size` bytes of a slot's content. Reading and checking them fail with
// DIGEST_MISMATCH once the slot shows another generation than `generation`.
class SlotContent final : public storage::Content {
 public:
  SlotContent(std::shared_ptr<const Slot> slot, int64_t size, uint64_t generation)
      : slot_(std::move(slot)), size_(size), generation_(generation) {}

  int64_t size() const override { return size_; }
  absl::Status Read(int64_t offset, std::span<char> buffer) const override;
  absl::Status Check() const override;

 private:
  const std::shared_ptr<const Slot> slot_;
  const int64_t size_;
  const uint64_t generation_;
};

}  // namespace ckpt::server
