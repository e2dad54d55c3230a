#include "storage/backup.h"

#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/base/errors.h"
#include "storage/base/format_version.h"
#include "storage/blob/layout.h"
#include "storage/fs/copy_file.h"
#include "storage/fs/folders.h"
#include "storage/fs/small_file.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;

// Without symbolic links, as far as the path exists.
absl::StatusOr<fs::path> Canonical(const std::string& path) {
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(path, error);
  if (error) return FileError("look at", path, error.value());
  return canonical.has_filename() ? canonical : canonical.parent_path();  // "/a/" as "/a"
}

bool IsWithin(const fs::path& path, const fs::path& folder) {
  const auto [in_folder, in_path] =
      std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return in_folder == folder.end();
}

// Why the target cannot be opened: its path will not do, or the disk fails.
absl::Status PathError(std::string_view path, const absl::Status& status) {
  switch (ErrnoOf(status)) {
    case EACCES:
    case EEXIST:
    case ELOOP:
    case ENAMETOOLONG:
    case ENOTDIR:
    case EPERM:
    case EROFS:
      return FieldInvalid("path", path, MessageOf(status));
    default:
      return status;
  }
}

class StoreBackup final : public Backup {
 public:
  StoreBackup(const BackupContext& context, fs::path source, fs::path target,
              std::shared_ptr<void> turn)
      : context_(context),
        turn_(std::move(turn)),
        source_((source / kBackupStagingFolder).string()),
        target_(std::move(target)) {}
  ~StoreBackup() override {
    RemoveTree(context_.root, kBackupStagingFolder).status().IgnoreError();
  }

  absl::Status Stage();
  absl::Status Step(v1::BackupResponse* response) override;

 private:
  struct Blob {
    std::string folder;  // below both roots
    int64_t bytes = 0;
  };

  absl::Status OpenTarget();
  absl::Status StageBlobs();
  absl::Status StageBlob(const std::string& folder);
  absl::Status CopyFolder(const std::string& folder, bool sync_files);
  absl::Status CopyOne(const std::string& file);
  absl::Status CopyIndex();

  const BackupContext context_;
  const std::shared_ptr<void> turn_;
  const std::string source_;  // absolute path of backup.staging
  const fs::path target_;     // absolute path
  std::unique_ptr<Directory> source_root_;
  std::unique_ptr<Directory> target_root_;
  std::unique_ptr<Directory> top_;  // "/": links lead from one folder to another
  bool links_ = true;               // whether both are on one file system, as far as is known

  std::vector<Blob> blobs_;
  size_t next_ = 0;  // index of the blob to copy next
  v1::BackupResponse progress_;
};

absl::Status StoreBackup::Stage() {
  const auto removed = RemoveTree(context_.root, kBackupStagingFolder);
  if (!removed.ok()) return removed.status();
  if (absl::Status status = OpenTarget(); !status.ok()) return status;
  absl::Status made = context_.root.MakeDirectory(kBackupStagingFolder);
  if (!made.ok()) return made;
  const auto hold = context_.blobs.HoldRemovals();
  absl::Status copied = context_.catalog.Copy(source_ + '/' + kIndexFolder);
  return copied.ok() ? StageBlobs() : copied;
}

absl::Status StoreBackup::OpenTarget() {
  auto target = context_.file_system.OpenDirectory(target_.string());
  if (!target.ok()) return PathError(target_.string(), target.status());
  target_root_ = *std::move(target);
  const auto entries = target_root_->List(".");
  if (!entries.ok()) return entries.status();
  if (!entries->empty()) {
    return FieldInvalid("path", target_.string(),
                        fmt::format("it must be an empty folder or none, and has '{}' in it",
                                    entries->front().name));
  }
  auto top = context_.file_system.OpenDirectory("/");
  if (!top.ok()) return top.status();
  top_ = *std::move(top);
  return absl::OkStatus();
}

absl::Status StoreBackup::StageBlobs() {
  auto source = context_.file_system.OpenDirectory(source_);
  if (!source.ok()) return source.status();
  source_root_ = *std::move(source);
  if (absl::Status made = source_root_->MakeDirectory(kBlobsFolder); !made.ok()) return made;
  const auto shards = context_.root.List(kBlobsFolder);
  if (!shards.ok()) return shards.status();
  for (const DirectoryEntry& shard : *shards) {
    if (shard.kind != FileKind::kDirectory) continue;
    const std::string path = fmt::format("{}/{}", kBlobsFolder, shard.name);
    if (absl::Status made = source_root_->MakeDirectory(path); !made.ok()) return made;
    const auto blobs = context_.root.List(path);
    if (!blobs.ok()) return blobs.status();
    for (const DirectoryEntry& blob : *blobs) {
      if (blob.kind != FileKind::kDirectory) continue;
      absl::Status staged = StageBlob(path + '/' + blob.name);
      if (!staged.ok()) return staged;
    }
  }
  progress_.set_total_checkpoints(static_cast<int64_t>(blobs_.size()));
  for (const Blob& blob : blobs_) {
    progress_.set_total_bytes(progress_.total_bytes() + blob.bytes);
  }
  return absl::OkStatus();
}

absl::Status StoreBackup::StageBlob(const std::string& folder) {
  Blob blob{.folder = folder};
  if (absl::Status made = source_root_->MakeDirectory(folder); !made.ok()) return made;
  const auto files = context_.root.List(folder);
  if (!files.ok()) return files.status();
  for (const DirectoryEntry& file : *files) {
    // What begins with a dot is left over from uploading, or is being made.
    if (file.kind != FileKind::kFile || file.name.starts_with('.')) continue;
    const std::string path = folder + '/' + file.name;
    const std::string staged = fmt::format("{}/{}", kBackupStagingFolder, path);
    if (absl::Status linked = context_.root.Link(path, staged); !linked.ok()) return linked;
    const auto info = context_.root.Info(staged);
    if (!info.ok()) return info.status();
    if (info->has_value()) blob.bytes += (*info)->size;
  }
  blobs_.push_back(std::move(blob));
  return absl::OkStatus();
}

absl::Status StoreBackup::Step(v1::BackupResponse* response) {
  absl::Status status;
  if (next_ < blobs_.size()) {
    const Blob& blob = blobs_[next_++];
    status = EnsureFolder(*target_root_, kBlobsFolder);
    if (status.ok()) status = EnsureFolder(*target_root_, FolderOf(blob.folder));
    if (status.ok()) status = CopyFolder(blob.folder, /*sync_files=*/false);
    if (status.ok()) status = target_root_->Sync(FolderOf(blob.folder));
    progress_.set_checkpoints(progress_.checkpoints() + 1);
    progress_.set_bytes(progress_.bytes() + blob.bytes);
  } else {
    status = CopyIndex();
    progress_.set_done(status.ok());
  }
  *response = progress_;
  return status;
}

absl::Status StoreBackup::CopyFolder(const std::string& folder, bool sync_files) {
  if (absl::Status made = target_root_->MakeDirectory(folder); !made.ok()) return made;
  const auto files = source_root_->List(folder);
  if (!files.ok()) return files.status();
  for (const DirectoryEntry& file : *files) {
    const std::string path = folder + '/' + file.name;
    if (absl::Status copied = CopyOne(path); !copied.ok()) return copied;
    if (!sync_files) continue;
    const auto opened = target_root_->Open(path, OpenMode::kRead);
    if (!opened.ok()) return opened.status();
    if (absl::Status synced = (*opened)->Sync(); !synced.ok()) return synced;
  }
  return target_root_->Sync(folder);
}

absl::Status StoreBackup::CopyOne(const std::string& file) {
  if (links_) {
    const auto from_top = [&](const std::string& path) { return path.substr(1) + '/' + file; };
    absl::Status linked = top_->Link(from_top(source_), from_top(target_.string()));
    if (ErrnoOf(linked) != EXDEV) return linked;
    links_ = false;
  }
  const auto info = source_root_->Info(file);
  if (!info.ok()) return info.status();
  const int mode = info->has_value() ? (*info)->mode : 0640;
  return CopyFile(*source_root_, file, *target_root_, file, mode);
}

// The index, and then VERSION, which makes it a data folder.
absl::Status StoreBackup::CopyIndex() {
  absl::Status status = EnsureFolder(*target_root_, kBlobsFolder);  // there may be no checkpoints
  if (status.ok()) status = CopyFolder(kIndexFolder, /*sync_files=*/true);
  if (status.ok()) status = target_root_->Sync(".");
  if (!status.ok()) return status;
  return ReplaceSmallFile(*target_root_, kVersionFile, fmt::format("{}\n", kFormatVersion));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backup>> MakeBackup(const BackupContext& context,
                                                   const std::string& path,
                                                   std::shared_ptr<void> turn) {
  if (!fs::path(path).is_absolute()) {
    return FieldInvalid("path", path, "it must be an absolute path on the daemon's host");
  }
  auto target = Canonical(path);
  if (!target.ok()) return PathError(path, target.status());
  auto source = Canonical(context.data_dir);
  if (!source.ok()) return source.status();
  if (IsWithin(*target, *source) || IsWithin(*source, *target)) {
    return FieldInvalid(
        "path", path, fmt::format("it must be outside of the data folder '{}'", source->string()));
  }
  auto backup = std::make_unique<StoreBackup>(context, *std::move(source), *std::move(target),
                                              std::move(turn));
  if (absl::Status staged = backup->Stage(); !staged.ok()) return staged;
  return backup;
}

}  // namespace ckpt::storage
