// Content in memory, as a test wants it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "storage/fs/content.h"

namespace ckpt::storage {

class TestContent final : public Content {
 public:
  explicit TestContent(std::string_view bytes) : bytes_(bytes) {}

  // Called before each Read, with its offset.
  void set_on_read(std::function<absl::Status(int64_t)> on_read) { on_read_ = std::move(on_read); }
  void set_check(absl::Status check) { check_ = std::move(check); }
  char* start() { return bytes_.data(); }

  int64_t size() const override { return std::ssize(bytes_); }
  absl::Status Read(int64_t offset, std::span<char> buffer) const override {
    if (on_read_) {
      if (absl::Status status = on_read_(offset); !status.ok()) return status;
    }
    bytes_.copy(buffer.data(), buffer.size(), static_cast<size_t>(offset));
    return absl::OkStatus();
  }
  absl::Status Check() const override { return check_; }

 private:
  std::string bytes_;
  std::function<absl::Status(int64_t)> on_read_;
  absl::Status check_;
};

}  // namespace ckpt::storage
