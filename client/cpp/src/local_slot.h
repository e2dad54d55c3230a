// Memory that the daemon maps, too: see proto/ckpt/v1/local.proto.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/base/unique_fd.h"

namespace ckpt::client {

// A sealed memfd, mapped for its life. All of its memory is there from the start, so that filling
// it costs one copy into warm memory. Used by one thread at a time.
class LocalSlot {
 public:
  // At least `capacity` bytes of content. `number` is unique on the connection. RESOURCE_EXHAUSTED:
  // there is not that much memory.
  static absl::StatusOr<std::unique_ptr<LocalSlot>> Make(uint32_t number, size_t capacity);
  ~LocalSlot();
  LocalSlot(const LocalSlot&) = delete;
  LocalSlot& operator=(const LocalSlot&) = delete;

  // Replaces the content by `bytes`, which fit. The daemon must not be storing from the slot.
  void Fill(std::string_view bytes);

  uint32_t number() const { return number_; }
  int fd() const { return fd_.get(); }
  size_t capacity() const { return capacity_; }
  // What the last Fill left.
  std::string_view content() const;
  uint64_t generation() const { return generation_; }

  // Serial of the connection that knows the slot; 0: none.
  uint64_t registered_on = 0;

 private:
  LocalSlot(uint32_t number, UniqueFd fd, char* mapping, size_t capacity);
  void SetGeneration(uint64_t generation);

  const uint32_t number_;
  const UniqueFd fd_;
  char* const mapping_;
  const size_t capacity_;
  size_t filled_ = 0;
  uint64_t generation_ = 0;
};

}  // namespace ckpt::client
