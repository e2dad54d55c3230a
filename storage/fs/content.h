// Where the content of a whole file comes from.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"

namespace ckpt::storage {

// Thread-safe.
class Content {
 public:
  virtual ~Content() = default;

  // Bytes in all.
  virtual int64_t size() const = 0;
  // Whether Read gives the bytes in place: in memory that others may change meanwhile.
  virtual bool in_place() const = 0;
  // The `size` bytes from `offset` on, all of them within the content. `buffer` has room for them;
  // it is null if they are given in place. May block.
  virtual absl::StatusOr<std::string_view> Read(int64_t offset, int64_t size,
                                                char* buffer) const = 0;
  // Asked once after everything has been read and used: whether that was the content, or had begun
  // to become something else meanwhile.
  virtual absl::Status Check() const { return absl::OkStatus(); }
};

}  // namespace ckpt::storage
