// Open files of the real file system.
#pragma once

#include <sys/stat.h>

#include <string>

#include "storage/base/unique_fd.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

class PosixFile final : public File {
 public:
  // `path` is for messages.
  PosixFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  absl::Status Write(int64_t offset, std::span<const std::string_view> pieces) override;
  absl::StatusOr<int64_t> Read(int64_t offset, std::span<char> buffer) const override;
  absl::Status Sync() override;
  absl::Status StartWriteback(int64_t offset, int64_t length) override;
  absl::Status Truncate(int64_t size) override;
  absl::Status Reserve(int64_t size) override;
  absl::Status SetDirect(bool direct) override;
  absl::Status SetMode(int mode) override;
  absl::StatusOr<FileInfo> Info() const override;
  void DropCache() override;
  absl::StatusOr<bool> TryLock() override;

 private:
  const UniqueFd fd_;
  const std::string path_;
};

FileInfo ToFileInfo(const struct stat& info);

}  // namespace ckpt::storage
