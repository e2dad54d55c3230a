// Where the content of a whole file comes from.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/status.h"

namespace ckpt::storage {

// Thread-safe.
class Content {
 public:
  virtual ~Content() = default;

  // Bytes in all.
  virtual int64_t size() const = 0;
  // Fills `buffer` from `offset` on, all of it within the content. May block.
  virtual absl::Status Read(int64_t offset, std::span<char> buffer) const = 0;
  // Asked once after everything has been read and used: whether that was the content, or had begun
  // to become something else meanwhile.
  virtual absl::Status Check() const { return absl::OkStatus(); }
};

}  // namespace ckpt::storage
