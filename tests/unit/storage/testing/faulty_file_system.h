// A file system whose calls are recorded and can be made to fail.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "storage/fs/file_system.h"

namespace ckpt::storage {

// Passes every call on to another file system, unless it is to fail. Thread-safe.
class FaultyFileSystem final : public FileSystem {
 public:
  // errno of a call, such as ("sync", "staging/r@1/weights"); 0 lets it pass. `number` counts
  // from 1.
  using Plan =
      std::function<int(int64_t number, std::string_view operation, std::string_view path)>;

  explicit FaultyFileSystem(FileSystem& base) : base_(base) {}

  void set_plan(Plan plan);
  // Forgets the calls so far.
  void Reset();
  // "operation path" of every call, failed ones with a "!" in front.
  std::vector<std::string> calls() const;

  absl::StatusOr<std::unique_ptr<Directory>> OpenDirectory(const std::string& path) override;

  // For the directories and files: records a call and tells whether it fails.
  absl::Status Call(std::string_view operation, const std::string& path);

 private:
  FileSystem& base_;
  mutable std::mutex mutex_;
  Plan plan_;
  std::vector<std::string> calls_;
};

// Plans.
FaultyFileSystem::Plan FailOnce(int64_t number, int error);
FaultyFileSystem::Plan FailFrom(int64_t number, int error);
// Calls of `operation` on paths that contain `path`.
FaultyFileSystem::Plan FailOperation(std::string operation, std::string path, int error);

}  // namespace ckpt::storage
