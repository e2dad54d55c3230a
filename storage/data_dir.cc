#include "storage/data_dir.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "storage/base/errors.h"
#include "storage/base/format_version.h"
#include "storage/blob/layout.h"
#include "storage/fs/folders.h"
#include "storage/fs/small_file.h"

namespace ckpt::storage {
namespace {

constexpr char kField[] = "data_dir";
constexpr int64_t kMaxLineBytes = 64;

// The number in a file of one line; nothing if it holds anything else.
std::optional<int64_t> ParseLine(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc() || end != line.data() + line.size()) return std::nullopt;
  return number;
}

// What an operator can do about an error with the folder.
absl::Status Explain(const absl::Status& status, const std::string& path) {
  switch (ErrnoOf(status)) {
    case ENOTDIR:
      return FieldInvalid(kField, path, "that is no folder; name another one with --data-dir");
    case EACCES:
    case EPERM:
      return FieldInvalid(kField, path,
                          fmt::format("user {} may not write there; change its owner or name "
                                      "another folder with --data-dir",
                                      geteuid()));
    case EROFS:
      return FieldInvalid(kField, path,
                          "its file system is mounted read-only; mount it for writing or name "
                          "another folder with --data-dir");
    default:
      return Annotate(status, fmt::format("{} '{}'", kField, path));
  }
}

absl::StatusOr<int64_t> ReadPid(const File& file) {
  std::string line(kMaxLineBytes, '\0');
  const auto got = file.Read(0, line);
  if (!got.ok()) return got.status();
  return ParseLine(std::string_view(line).substr(0, static_cast<size_t>(*got))).value_or(0);
}

absl::StatusOr<std::unique_ptr<File>> TakeLock(Directory& root, const std::string& path) {
  auto file = root.Open(kLockFile, OpenMode::kWrite);
  if (!file.ok()) return Explain(file.status(), path);
  const auto locked = (*file)->TryLock();
  if (!locked.ok()) return Explain(locked.status(), path);
  if (!*locked) {
    const auto pid = ReadPid(**file);
    if (!pid.ok()) return pid.status();
    return DataDirInUse(path, *pid);
  }
  const std::string line = fmt::format("{}\n", getpid());
  const std::string_view content = line;
  if (absl::Status status = (*file)->Truncate(0); !status.ok()) return Explain(status, path);
  if (absl::Status status = (*file)->Write(0, {&content, 1}); !status.ok()) {
    return Explain(status, path);
  }
  return file;
}

// Writes VERSION into a new data folder, and refuses one of a newer ckptd.
absl::Status CheckVersion(Directory& root, const std::string& path) {
  const auto line = ReadSmallFile(root, kVersionFile, kMaxLineBytes);
  if (!line.ok()) return Explain(line.status(), path);
  if (!line->has_value()) {
    for (const char* folder : {kIndexFolder, kBlobsFolder}) {
      const auto there = root.Info(folder);
      if (!there.ok()) return Explain(there.status(), path);
      if (!there->has_value()) continue;
      return FieldInvalid(
          kField, path,
          fmt::format("it has no file {0}, so it is a backup that was not finished; "
                      "if only that file was lost, write a line with {1} into it",
                      kVersionFile, kFormatVersion));
    }
    const std::string version = fmt::format("{}\n", kFormatVersion);
    return Explain(ReplaceSmallFile(root, kVersionFile, version), path);
  }
  const auto version = ParseLine(**line);
  if (!version.has_value() || *version < 1) {
    return FieldInvalid(kField, path,
                        fmt::format("its file {} holds no version number; if this is a folder of "
                                    "ckptd, restore that file, else name another folder",
                                    kVersionFile));
  }
  if (*version > kFormatVersion) {
    return VersionTooNew(fmt::format("data folder '{}'", path), static_cast<int>(*version),
                         kFormatVersion);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> HasBlobs(Directory& root) {
  const auto shards = root.List(kBlobsFolder);
  if (!shards.ok()) return shards.status();
  for (const DirectoryEntry& shard : *shards) {
    if (shard.kind != FileKind::kDirectory) continue;
    const auto blobs = root.List(fmt::format("{}/{}", kBlobsFolder, shard.name));
    if (!blobs.ok()) return blobs.status();
    if (!blobs->empty()) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<DataDir> OpenDataDir(FileSystem& file_system, const std::string& path) {
  if (path.empty()) return FieldInvalid(kField, path, "it must be the path of a folder");
  DataDir data;
  data.path = std::filesystem::absolute(path).lexically_normal();
  if (data.path.size() > 1 && data.path.ends_with('/')) data.path.pop_back();
  auto root = file_system.OpenDirectory(data.path);
  if (!root.ok()) return Explain(root.status(), data.path);
  data.root = *std::move(root);
  auto lock = TakeLock(*data.root, data.path);
  if (!lock.ok()) return lock.status();
  data.lock = *std::move(lock);
  if (absl::Status status = CheckVersion(*data.root, data.path); !status.ok()) return status;
  for (const char* folder : {kStagingFolder, kBlobsFolder, kRunsFolder}) {
    if (absl::Status status = EnsureFolder(*data.root, folder); !status.ok()) {
      return Explain(status, data.path);
    }
  }
  return data;
}

absl::Status CheckIndex(Directory& root, const std::string& path) {
  const auto index = root.Info(fmt::format("{}/CURRENT", kIndexFolder));
  if (!index.ok()) return Explain(index.status(), path);
  const auto rebuilt = root.Info(kRebuiltIndexFolder);
  if (!rebuilt.ok()) return Explain(rebuilt.status(), path);
  if (index->has_value()) {
    for (const char* folder : {kRebuiltIndexFolder, kRebuildingIndexFolder}) {
      if (const auto removed = RemoveTree(root, folder); !removed.ok()) return removed.status();
    }
    return absl::OkStatus();
  }
  if (rebuilt->has_value()) {
    return IndexDamaged(fmt::format(
        "{} '{}': a rebuild of its index was interrupted before its end", kField, path));
  }
  // Every blob would look like an orphan, and be removed.
  const auto has_blobs = HasBlobs(root);
  if (!has_blobs.ok()) return Explain(has_blobs.status(), path);
  if (!*has_blobs) return absl::OkStatus();
  return IndexDamaged(fmt::format("{} '{}': its folder {}/ is missing while {}/ holds checkpoints",
                                  kField, path, kIndexFolder, kBlobsFolder));
}

}  // namespace ckpt::storage
