// A folder of a test's own, and shortcuts around the code under test.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/fs/file_system.h"

namespace ckpt::storage {

// Made empty, removed at the end.
class TempDir {
 public:
  TempDir();
  // In another folder than that of tests.
  explicit TempDir(const std::string& parent);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const;
  // The folder, through the real file system.
  std::unique_ptr<Directory> Open() const;

 private:
  std::string path_;
};

// The content of a file; "(missing)" if there is none.
std::string ReadFile(const std::string& path);
// Writes a file, and the folders above it.
void WriteFile(const std::string& path, std::string_view content);
// Paths of everything but folders below `path`, relative to it, sorted.
std::vector<std::string> FilesBelow(const std::string& path);
// `size` bytes that differ from place to place and from seed to seed.
std::string Bytes(size_t size, int seed = 0);

}  // namespace ckpt::storage
