// Content in a file that a trainer hands over: for libraries that can only write files.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "server/local/slot.h"
#include "storage/base/unique_fd.h"
#include "storage/fs/content.h"

namespace ckpt::server {

// The bytes are copied out with reads: the file's owner may shorten it at any time, and a mapping
// would end the daemon then. Thread-safe.
class FileContent final : public storage::Content {
 public:
  // FIELD_INVALID: not a regular file in memory (memfd, tmpfs), where reads never wait for a disk
  // or a network; not readable; or not of `size` bytes. LIMIT_EXCEEDED as SlotMemory: the daemon
  // may be the last who holds the file.
  static absl::StatusOr<std::unique_ptr<const FileContent>> Open(UniqueFd file, int64_t size,
                                                                 SlotMemory& memory);

  int64_t size() const override { return size_; }
  // FIELD_INVALID if the file has become shorter.
  absl::Status Read(int64_t offset, std::span<char> buffer) const override;

 private:
  FileContent(UniqueFd file, int64_t size, SlotMemory::Grant memory)
      : file_(std::move(file)), size_(size), memory_(std::move(memory)) {}

  const UniqueFd file_;
  const int64_t size_;
  const SlotMemory::Grant memory_;
};

}  // namespace ckpt::server
