// The few things that a download does to local files.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/base/unique_fd.h"

namespace ckpt::client {

// An open file that grows at its end. Errors of every function here are FAILED_PRECONDITION, or
// RESOURCE_EXHAUSTED when there is no space left, and name the file. Not thread-safe.
class LocalFile {
 public:
  // Opens or creates `path`. FAILED_PRECONDITION also when another process has it open here, or
  // when it is a symbolic link.
  static absl::StatusOr<LocalFile> Open(const std::string& path);
  absl::StatusOr<int64_t> Size() const;
  // Hands everything to `sink`, from the start.
  absl::Status ReadAll(absl::FunctionRef<void(std::string_view)> sink) const;
  // Writes the pieces one after the other.
  absl::Status Append(std::span<const std::string_view> pieces);
  absl::Status Clear();
  // Survives a crash of the machine once this has returned OK.
  absl::Status Sync();

 private:
  LocalFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string path_;
};

bool IsFolder(const std::string& path);
// Something is there, and it is no regular file: a device, a symbolic link, a folder.
bool IsNoFile(const std::string& path);
bool Exists(const std::string& path);
absl::Status RemoveFile(const std::string& path);
// Makes the folder `path` unless it is there, and removes the files in it that `keep` refuses.
absl::Status PrepareFolder(const std::string& path, absl::FunctionRef<bool(std::string_view)> keep);
// Renames and syncs the folder that holds `to`. A file at `to` is replaced.
absl::Status RenameDurably(const std::string& from, const std::string& to);
absl::Status SyncFolder(const std::string& path);

}  // namespace ckpt::client
