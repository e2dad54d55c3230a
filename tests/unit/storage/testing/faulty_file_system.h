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
#include "tests/unit/storage/testing/simulated_disk.h"

namespace ckpt::storage {

// Plan's answer for a sync that does nothing and says that it did.
inline constexpr int kPretend = -1;

// Passes every call on to another file system, unless it is to fail. A write that fails is a short
// one: its first half is written. Thread-safe.
class FaultyFileSystem final : public FileSystem {
 public:
  // errno of a call, such as ("sync", "staging/r@1/weights"); 0 lets it pass. `number` counts
  // from 1. Called before each call, in the thread that makes it, by one thread at a time.
  using Plan =
      std::function<int(int64_t number, std::string_view operation, std::string_view path)>;

  // `disk`, if there is one, is told of all changes below the folder that is opened.
  explicit FaultyFileSystem(FileSystem& base, SimulatedDisk* disk = nullptr)
      : base_(base), disk_(disk) {}

  void set_plan(Plan plan);
  // Forgets the calls so far.
  void Reset();
  // "operation path" of every call, failed ones with a "!" in front.
  std::vector<std::string> calls() const;

  absl::StatusOr<std::unique_ptr<Directory>> OpenDirectory(const std::string& path) override;

  // For what it opens: records a call and tells whether it fails.
  int Fault(std::string_view operation, const std::string& path);
  // The same, as a status.
  absl::Status Call(std::string_view operation, const std::string& path);
  SimulatedDisk* disk() const { return disk_; }

 private:
  FileSystem& base_;
  SimulatedDisk* const disk_;
  std::mutex plan_mutex_;  // taken before mutex_
  Plan plan_;              // guarded by plan_mutex_
  int64_t count_ = 0;      // guarded by plan_mutex_
  mutable std::mutex mutex_;
  std::vector<std::string> calls_;  // guarded by mutex_
};

// Plans.
FaultyFileSystem::Plan FailOnce(int64_t number, int error);
FaultyFileSystem::Plan FailFrom(int64_t number, int error);
// Calls of `operation` on paths that contain `path`.
FaultyFileSystem::Plan FailOperation(std::string operation, std::string path, int error);

}  // namespace ckpt::storage
