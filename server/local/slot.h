// A slot: memory of a trainer that the daemon maps, too.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/base/unique_fd.h"
#include "storage/fs/content.h"

namespace ckpt::server {

// The header before a slot's content; see proto/ckpt/v1/local.proto.
inline constexpr int64_t kSlotHeaderBytes = 4096;

// What all slots of the daemon take together. Thread-safe. Outlives the slots.
class SlotMemory {
 public:
  explicit SlotMemory(int64_t bytes) : limit_(bytes) {}
  // LIMIT_EXCEEDED.
  absl::Status Take(int64_t bytes);
  void Return(int64_t bytes) { taken_.fetch_sub(bytes); }
  int64_t taken() const { return taken_.load(); }

 private:
  const int64_t limit_;
  std::atomic<int64_t> taken_ = 0;
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
  Slot(const char* mapping, int64_t size, SlotMemory& memory)
      : mapping_(mapping), size_(size), memory_(memory) {}

  const char* const mapping_;
  const int64_t size_;
  SlotMemory& memory_;
};

// The first `size` bytes of a slot's content, in place. Reading and checking them fail with
// DIGEST_MISMATCH once the slot shows another generation than `generation`.
class SlotContent final : public storage::Content {
 public:
  SlotContent(std::shared_ptr<const Slot> slot, int64_t size, uint64_t generation)
      : slot_(std::move(slot)), size_(size), generation_(generation) {}

  int64_t size() const override { return size_; }
  bool in_place() const override { return true; }
  absl::StatusOr<std::string_view> Read(int64_t offset, int64_t size, char* buffer) const override;
  absl::Status Check() const override;

 private:
  const std::shared_ptr<const Slot> slot_;
  const int64_t size_;
  const uint64_t generation_;
};

}  // namespace ckpt::server
