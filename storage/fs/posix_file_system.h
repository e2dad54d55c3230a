// The real file system.
#pragma once

#include "storage/fs/file_system.h"

namespace ckpt::storage {

class PosixFileSystem final : public FileSystem {
 public:
  // How a path is kept beneath its folder; both mean the same. Kernels before 5.6 and some
  // container sandboxes refuse openat2, and then the walk steps in by itself.
  enum class Resolve { kOpenat2, kWalk };

  explicit PosixFileSystem(Resolve resolve = Resolve::kOpenat2) : resolve_(resolve) {}

  absl::StatusOr<std::unique_ptr<Directory>> OpenDirectory(const std::string& path) override;

 private:
  const Resolve resolve_;
};

}  // namespace ckpt::storage
