// Content in memory, as a test wants it.
#pragma once

#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "storage/fs/content.h"

namespace ckpt::storage {

// Aligned as WriteWhole wants it, and given in place or through the buffer.
class TestContent final : public Content {
 public:
  explicit TestContent(std::string_view bytes, bool in_place = true, size_t misaligned_by = 0)
      : memory_(bytes.size() + 2 * kDirectAlignment, '\0'), in_place_(in_place) {
    const auto address = reinterpret_cast<uintptr_t>(memory_.data());
    start_ = memory_.data() + (kDirectAlignment - address % kDirectAlignment) + misaligned_by;
    size_ = static_cast<int64_t>(bytes.size());
    bytes.copy(start_, bytes.size());
  }

  // Called before each Read, with its offset.
  void set_on_read(std::function<absl::Status(int64_t)> on_read) { on_read_ = std::move(on_read); }
  void set_check(absl::Status check) { check_ = std::move(check); }
  char* start() const { return start_; }

  int64_t size() const override { return size_; }
  bool in_place() const override { return in_place_; }
  absl::StatusOr<std::string_view> Read(int64_t offset, int64_t size, char* buffer) const override {
    if (on_read_) {
      if (absl::Status status = on_read_(offset); !status.ok()) return status;
    }
    const std::string_view bytes(start_ + offset, static_cast<size_t>(size));
    if (in_place_) return bytes;
    std::memcpy(buffer, bytes.data(), bytes.size());
    return std::string_view(buffer, bytes.size());
  }
  absl::Status Check() const override { return check_; }

 private:
  std::string memory_;
  const bool in_place_;
  char* start_;
  int64_t size_;
  std::function<absl::Status(int64_t)> on_read_;
  absl::Status check_;
};

}  // namespace ckpt::storage
