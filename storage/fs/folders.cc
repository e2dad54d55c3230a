#include "storage/fs/folders.h"

#include <cerrno>
#include <utility>

#include "storage/base/errors.h"

namespace ckpt::storage {
namespace {

absl::Status RemoveFolder(Directory& directory, const std::string& path) {
  const auto entries = directory.List(path);
  if (!entries.ok()) return entries.status();
  for (const DirectoryEntry& entry : *entries) {
    const auto removed = RemoveTree(directory, path + '/' + entry.name);
    if (!removed.ok()) return removed.status();
  }
  return directory.RemoveDirectory(path);
}

}  // namespace

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

absl::Status EnsureFolder(Directory& directory, const std::string& path) {
  absl::Status made = directory.MakeDirectory(path);
  if (!made.ok()) {
    if (ErrnoOf(made) != EEXIST) return made;
    const auto info = directory.Info(path);
    if (!info.ok()) return info.status();
    const bool is_folder = info->has_value() && (*info)->kind == FileKind::kDirectory;
    if (!is_folder) return FileError("make folder", path, ENOTDIR);
  }
  // Also of one that was there: whoever made it may have been killed, or have failed, before this.
  absl::Status synced = directory.Sync(FolderOf(path));
  if (!synced.ok() && made.ok()) directory.RemoveDirectory(path).IgnoreError();
  return synced;
}

absl::StatusOr<bool> RemoveTree(Directory& directory, const std::string& path) {
  const auto info = directory.Info(path);
  if (!info.ok()) return info.status();
  if (!info->has_value()) return false;
  absl::Status removed = (*info)->kind == FileKind::kDirectory ? RemoveFolder(directory, path)
                                                               : directory.Unlink(path);
  if (!removed.ok() && ErrnoOf(removed) != ENOENT) return removed;
  return true;
}

}  // namespace ckpt::storage
