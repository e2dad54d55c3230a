#include "storage/blob/run_folder.h"

#include <cerrno>
#include <string>

#include "storage/blob/layout.h"
#include "storage/fs/folders.h"

namespace ckpt::storage {
namespace {

absl::Status RemoveEmptyFolders(Directory& root, const std::string& path) {
  const auto entries = root.List(path);
  if (!entries.ok()) return entries.status();
  for (const DirectoryEntry& entry : *entries) {
    if (entry.kind != FileKind::kDirectory) continue;
    absl::Status removed = RemoveEmptyFolders(root, path + '/' + entry.name);
    if (!removed.ok()) return removed;
  }
  absl::Status removed = root.RemoveDirectory(path);
  return ErrnoOf(removed) == ENOTEMPTY ? absl::OkStatus() : removed;
}

absl::Status RemoveTemporariesIn(Directory& root, const std::string& path, int64_t* count) {
  const auto entries = root.List(path);
  if (!entries.ok()) return entries.status();
  for (const DirectoryEntry& entry : *entries) {
    const std::string inside = path + '/' + entry.name;
    if (entry.name.starts_with(kTemporaryPrefix)) {
      if (const auto removed = RemoveTree(root, inside); !removed.ok()) return removed.status();
      ++*count;
    } else if (entry.kind == FileKind::kDirectory) {
      absl::Status removed = RemoveTemporariesIn(root, inside, count);
      if (!removed.ok()) return removed;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RemoveEmptyRunFolder(Directory& root, std::string_view run) {
  absl::Status removed = RemoveEmptyFolders(root, RunPath(run));
  if (ErrnoOf(removed) == ENOENT) return absl::OkStatus();
  return removed.ok() ? root.Sync(kRunsFolder) : removed;
}

absl::StatusOr<int64_t> RemoveTemporaries(Directory& root) {
  int64_t count = 0;
  absl::Status removed = RemoveTemporariesIn(root, kRunsFolder, &count);
  if (!removed.ok()) return removed;
  return count;
}

}  // namespace ckpt::storage
