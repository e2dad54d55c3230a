#include "storage/blob/projection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "storage/base/errors.h"
#include "storage/blob/layout.h"
#include "storage/fs/beneath.h"
#include "storage/fs/copy_file.h"
#include "storage/fs/folders.h"

namespace ckpt::storage {
namespace {

constexpr int kLinkMode = 0440;
constexpr int kCopyMode = 0640;

std::string PathOf(const ProjectedName& name) { return RunPath(name.run) + '/' + name.filepath; }

bool HasReservedComponent(std::string_view path) {
  return path.starts_with(kTemporaryPrefix) ||
         path.find(fmt::format("/{}", kTemporaryPrefix)) != std::string_view::npos;
}

// Checkpoints have the names above: they would be folders, and be replaced as a whole.
absl::Status CheckAbove(const std::string& filepath, NameOwned owned) {
  for (size_t slash = filepath.find('/'); slash != std::string::npos;
       slash = filepath.find('/', slash + 1)) {
    const std::string above = filepath.substr(0, slash);
    const auto is_owned = owned(above);
    if (!is_owned.ok()) return is_owned.status();
    if (*is_owned) {
      return PathBlocked(filepath, fmt::format("'{}' is the name of a checkpoint", above));
    }
  }
  return absl::OkStatus();
}

// Whether a folder is one of a checkpoint's parts, as far as one can tell: it may be replaced then.
absl::Status CheckFolder(Directory& root, const std::string& path, const std::string& filepath,
                         NameOwned owned) {
  const auto entries = root.List(path);
  if (!entries.ok()) return entries.status();
  if (entries->empty()) return PathBlocked(filepath, "a folder is in the way");
  for (const DirectoryEntry& entry : *entries) {
    const auto info = root.Info(path + '/' + entry.name);
    if (!info.ok()) return info.status();
    const bool part = info->has_value() && (*info)->kind == FileKind::kFile &&
                      ((*info)->mode == kLinkMode || (*info)->mode == kCopyMode) &&
                      IsPartFileName(entry.name);
    const auto is_owned = owned(filepath + '/' + entry.name);
    if (!is_owned.ok()) return is_owned.status();
    if (!part || *is_owned) {
      return PathBlocked(filepath,
                         fmt::format("a folder is in the way that holds '{}'", entry.name));
    }
  }
  return absl::OkStatus();
}

absl::Status MakeParents(Directory& root, const ProjectedName& name) {
  const std::string path = PathOf(name);
  for (size_t slash = path.find('/', sizeof kRunsFolder); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    absl::Status made = root.MakeDirectory(path.substr(0, slash));
    if (!made.ok() && ErrnoOf(made) != EEXIST) return made;
  }
  return absl::OkStatus();
}

// Syncs the folder of the name and those above it: any of them may be new.
absl::Status SyncParents(Directory& root, const ProjectedName& name) {
  std::string folder = PathOf(name);
  do {
    folder = FolderOf(folder);
    if (absl::Status status = root.Sync(folder); !status.ok()) return status;
  } while (folder != kRunsFolder);
  return absl::OkStatus();
}

// A copy is its owner's to change.
absl::Status CopyBytes(Directory& root, const std::string& from, const std::string& to) {
  return CopyFile(root, from, root, to, kCopyMode);
}

absl::Status ShareBytes(Directory& root, const std::string& from, const std::string& to) {
  absl::Status cloned = root.Clone(from, to);
  if (ErrnoOf(cloned) == EOPNOTSUPP) return CopyBytes(root, from, to);
  if (!cloned.ok()) return cloned;
  const auto copy = root.Open(to, OpenMode::kWrite);
  if (!copy.ok()) return copy.status();
  if (absl::Status status = (*copy)->SetMode(kCopyMode); !status.ok()) return status;
  return (*copy)->Sync();
}

absl::Status MakeFile(Directory& root, const ProjectedName& name, const std::string& file,
                      const std::string& to) {
  const std::string from = name.blob + '/' + file;
  switch (name.projection) {
    case v1::StorageOptions::PROJECTION_COPY:
      return CopyBytes(root, from, to);
    case v1::StorageOptions::PROJECTION_REFLINK:
      return ShareBytes(root, from, to);
    default:
      return root.Link(from, to);
  }
}

// Makes the file or folder that the name is to be, at the path `to`.
absl::Status MakeTemporary(Directory& root, const ProjectedName& name, const std::string& to) {
  if (const auto removed = RemoveTree(root, to); !removed.ok()) return removed.status();
  if (name.files.size() == 1) return MakeFile(root, name, name.files[0], to);
  if (absl::Status made = root.MakeDirectory(to); !made.ok()) return made;
  for (const std::string& file : name.files) {
    if (absl::Status made = MakeFile(root, name, file, fmt::format("{}/{}", to, file)); !made.ok())
      return made;
  }
  return root.Sync(to);
}

// Moves `from` to `to`; what was there is at `from` or `aside` afterwards, if anywhere.
absl::Status SwapIn(Directory& root, const std::string& from, const std::string& to,
                    const std::string& aside, bool is_file) {
  const auto there = root.Info(to);
  if (!there.ok()) return there.status();
  if (!there->has_value() || (is_file && (*there)->kind == FileKind::kFile)) {
    return root.Rename(from, to);
  }
  absl::Status swapped = root.Exchange(from, to);
  if (ErrnoOf(swapped) != EINVAL) return swapped;
  // The file system cannot swap: the name is missing for a moment.
  if (absl::Status moved = root.Rename(to, aside); !moved.ok()) return moved;
  absl::Status renamed = root.Rename(from, to);
  if (!renamed.ok()) root.Rename(aside, to).IgnoreError();
  return renamed;
}

// An error that means that something else has taken the place of a path, or of a folder above it.
bool IsElsewhere(const absl::Status& status) {
  const int error = ErrnoOf(status);
  return error == ELOOP || error == ENOTDIR || error == ENOENT;
}

// Whether a name's file is the blob's: always so for a copy, which may have been changed.
absl::StatusOr<bool> IsOurs(Directory& root, const ProjectedName& name, const std::string& file,
                            const std::string& path) {
  const auto there = root.Info(path);
  if (IsElsewhere(there.status())) return false;
  if (!there.ok()) return there.status();
  if (!there->has_value() || (*there)->kind != FileKind::kFile) return false;
  if (IsCopy(name.projection)) return true;
  const auto stored = root.Info(name.blob + '/' + file);
  if (!stored.ok()) return stored.status();
  return stored->has_value() && (*stored)->inode == (*there)->inode;
}

absl::Status RemoveIfOurs(Directory& root, const ProjectedName& name, const std::string& file,
                          const std::string& path) {
  const auto ours = IsOurs(root, name, file, path);
  if (!ours.ok()) return ours.status();
  return *ours ? root.Unlink(path) : absl::OkStatus();
}

// Whether there is a folder under the name and nothing in it but the checkpoint's parts.
absl::StatusOr<bool> HoldsOnlyParts(Directory& root, const ProjectedName& name) {
  const std::string path = PathOf(name);
  const auto entries = root.List(path);
  if (IsElsewhere(entries.status())) return false;
  if (!entries.ok()) return entries.status();
  for (const DirectoryEntry& entry : *entries) {
    if (std::find(name.files.begin(), name.files.end(), entry.name) == name.files.end()) {
      return false;
    }
    auto ours = IsOurs(root, name, entry.name, fmt::format("{}/{}", path, entry.name));
    if (!ours.ok() || !*ours) return ours;
  }
  return true;
}

absl::Status RemoveFolderOfParts(Directory& root, const ProjectedName& name) {
  const std::string path = PathOf(name);
  const auto only_parts = HoldsOnlyParts(root, name);
  if (!only_parts.ok()) return only_parts.status();
  if (*only_parts) {
    // The name goes in one step, for good, and then what was under it: nobody sees half of it.
    const std::string aside = fmt::format("{}/{}-old", FolderOf(path), name.temporary);
    if (const auto removed = RemoveTree(root, aside); !removed.ok()) return removed.status();
    if (absl::Status moved = root.Rename(path, aside); !moved.ok()) return moved;
    if (absl::Status synced = root.Sync(FolderOf(path)); !synced.ok()) return synced;
    return RemoveTree(root, aside).status();
  }
  for (const std::string& file : name.files) {
    absl::Status removed = RemoveIfOurs(root, name, file, fmt::format("{}/{}", path, file));
    if (!removed.ok()) return removed;
  }
  absl::Status removed = root.RemoveDirectory(path);
  return ErrnoOf(removed) == ENOTEMPTY || IsElsewhere(removed) ? absl::OkStatus() : removed;
}

}  // namespace

bool IsCopy(v1::StorageOptions::Projection projection) {
  return projection == v1::StorageOptions::PROJECTION_REFLINK ||
         projection == v1::StorageOptions::PROJECTION_COPY;
}

absl::Status CheckName(Directory& root, std::string_view run, const std::string& filepath,
                       NameOwned owned) {
  if (!IsPlainPath(filepath)) {
    return PathEscapes(
        fmt::format("file name '{}' is not a path below the run's folder", filepath));
  }
  if (HasReservedComponent(filepath)) {
    return PathBlocked(filepath,
                       fmt::format("names that begin with '{}' are ckptd's own", kTemporaryPrefix));
  }
  if (absl::Status status = CheckAbove(filepath, owned); !status.ok()) return status;
  const std::string path = RunPath(run) + '/' + filepath;
  const auto there = root.Info(path);
  const int error = ErrnoOf(there.status());
  if (error == ELOOP ||
      (there.ok() && there->has_value() && (*there)->kind == FileKind::kSymlink)) {
    return PathBlocked(filepath, "a symbolic link is in the way");
  }
  if (error == ENOTDIR) return PathBlocked(filepath, "a file is where a folder should be");
  if (!there.ok()) return there.status();
  if (!there->has_value() || (*there)->kind == FileKind::kFile) return absl::OkStatus();
  if ((*there)->kind == FileKind::kDirectory) return CheckFolder(root, path, filepath, owned);
  return PathBlocked(filepath, "something that is no file is in the way");
}

absl::Status PlaceName(Directory& root, const ProjectedName& name, NameOwned owned) {
  if (absl::Status status = CheckName(root, name.run, name.filepath, owned); !status.ok()) {
    return status;
  }
  if (absl::Status status = MakeParents(root, name); !status.ok()) return status;
  const std::string path = PathOf(name);
  const std::string temporary = FolderOf(path) + '/' + name.temporary;
  const std::string aside = temporary + "-old";
  absl::Status placed = MakeTemporary(root, name, temporary);
  if (placed.ok()) placed = SwapIn(root, temporary, path, aside, name.files.size() == 1);
  // The old content goes only when the new is there for good.
  if (placed.ok()) {
    if (absl::Status status = SyncParents(root, name); !status.ok()) return status;
  }
  // Also after success: of two links to one file, rename leaves both.
  for (const std::string& leftover : {temporary, aside}) {
    const auto removed = RemoveTree(root, leftover);
    if (placed.ok() && !removed.ok()) placed = removed.status();
  }
  return placed;
}

absl::StatusOr<bool> IsInPlace(Directory& root, const ProjectedName& name) {
  const std::string path = PathOf(name);
  if (name.files.size() == 1) return IsOurs(root, name, name.files[0], path);
  for (const std::string& file : name.files) {
    auto ours = IsOurs(root, name, file, fmt::format("{}/{}", path, file));
    if (!ours.ok() || !*ours) return ours;
  }
  return true;
}

absl::Status RemoveName(Directory& root, const ProjectedName& name) {
  const std::string path = PathOf(name);
  absl::Status removed = name.files.size() == 1 ? RemoveIfOurs(root, name, name.files[0], path)
                                                : RemoveFolderOfParts(root, name);
  if (!removed.ok()) return removed;
  std::string folder = FolderOf(path);
  while (folder != RunPath(name.run)) {
    absl::Status pruned = root.RemoveDirectory(folder);
    if (ErrnoOf(pruned) == ENOTEMPTY) break;
    if (!pruned.ok() && !IsElsewhere(pruned)) return pruned;
    folder = FolderOf(folder);
  }
  absl::Status synced = root.Sync(folder);
  return IsElsewhere(synced) ? absl::OkStatus() : synced;
}

}  // namespace ckpt::storage
