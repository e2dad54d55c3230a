// Memory for copies of weights, used again from save to save.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "ckpt/run.h"

namespace ckpt::client {

// Copying into memory that the process has used before takes a fraction of the time that it takes
// into fresh memory, which the kernel must clear first. Holds no more buffers than were in use at
// once, each at most twice as large as what it was last asked for. Thread-safe.
class CopyPool {
 public:
  CopyPool();
  ~CopyPool();

  // A copy with an owner, which may outlive the pool.
  PartBytes Copy(std::string part, std::string_view bytes);
  // Memory that waits for the next copies.
  size_t kept_bytes() const;

 private:
  struct Free;

  std::shared_ptr<Free> free_;
};

}  // namespace ckpt::client
