// Large files, written from front to back at the speed of the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

// Appends to a file and has the kernel write behind, so that dirty pages stay few and Sync short.
// Not thread-safe. After an error the writer must not be used any more.
class SequentialWriter {
 public:
  // Goes on at `offset`, the size of `file`.
  SequentialWriter(std::unique_ptr<File> file, int64_t offset);

  int64_t offset() const { return offset_; }
  File& file() { return *file_; }

  // Counts bytes at the end that were written to file() itself.
  void Passed(int64_t bytes) { offset_ += bytes; }
  absl::Status Append(std::span<const std::string_view> pieces);
  // Makes everything appended durable.
  absl::Status Sync();

 private:
  const std::unique_ptr<File> file_;
  int64_t offset_;
  int64_t written_back_;  // up to here, write-back has begun
};

}  // namespace ckpt::storage
