#include "storage/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "storage/blob/layout.h"
#include "storage/blob/run_folder.h"
#include "storage/fs/folders.h"

namespace ckpt::storage {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

class Recovery {
 public:
  explicit Recovery(const RecoveryContext& context) : context_(context) {}

  absl::StatusOr<RecoveryResult> Run();

 private:
  absl::Status ReadIndex();
  absl::Status SettleBlobs();
  absl::Status SettleBlob(const std::string& shard, const std::string& name);
  absl::Status SettleStaging();
  absl::Status SettleStaged(const std::string& name);
  absl::Status CompleteSave(const std::string& name, const std::string& run);
  absl::StatusOr<bool> IsWanted(const SaveFolder& folder, const std::string& path);
  absl::StatusOr<bool> IsTooOld(const std::string& path);
  absl::Status PlaceNames();
  absl::Status FinishEvictions();
  absl::Status RemoveForeignRunFolders();
  // Removes a folder that nothing refers to.
  absl::Status RemoveOrphan(const std::string& path);

  const RecoveryContext& context_;
  RecoveryResult result_;

  // The index, by names of save folders.
  std::set<std::string> runs_;
  std::set<std::string> rows_;
  std::map<std::string, v1::Checkpoint> pending_;
  std::set<std::string> condemned_;
  std::vector<v1::Eviction> evictions_;
  std::vector<v1::Checkpoint> unplaced_;
  std::set<std::string> unfinished_;  // run ids
};

absl::StatusOr<RecoveryResult> Recovery::Run() {
  using Step = absl::Status (Recovery::*)();
  for (const Step step :
       {&Recovery::ReadIndex, &Recovery::SettleBlobs, &Recovery::SettleStaging,
        &Recovery::PlaceNames, &Recovery::FinishEvictions, &Recovery::RemoveForeignRunFolders}) {
    if (absl::Status status = (this->*step)(); !status.ok()) return status;
  }
  result_.report.set_open_saves(static_cast<int64_t>(pending_.size()));
  result_.unfinished_runs.assign(unfinished_.begin(), unfinished_.end());
  return std::move(result_);
}

absl::Status Recovery::ReadIndex() {
  absl::Status error;
  const auto folder_of = [&](const v1::Checkpoint& checkpoint) {
    const auto folder = SaveFolderNameOf(checkpoint);
    error.Update(folder.status());
    return folder.ok() ? *folder : "";
  };
  absl::Status read = context_.catalog.ForEachRun([&](const v1::Run& run) {
    const auto id = ParseRunName(run.name());
    error.Update(id.status());
    if (id.ok()) runs_.insert(*id);
    return error.ok();
  });
  read.Update(context_.catalog.ForEachCheckpoint([&](const v1::Checkpoint& checkpoint) {
    rows_.insert(folder_of(checkpoint));
    const auto in_place = context_.names.AreInPlace(checkpoint);
    error.Update(in_place.status());
    if (in_place.ok() && !*in_place) unplaced_.push_back(checkpoint);
    return error.ok();
  }));
  read.Update(context_.catalog.ForEachSave([&](const v1::Checkpoint& save) {
    pending_[folder_of(save)] = save;
    return error.ok();
  }));
  read.Update(context_.catalog.ForEachEviction([&](const v1::Eviction& eviction) {
    condemned_.insert(folder_of(eviction.checkpoint()));
    evictions_.push_back(eviction);
    return error.ok();
  }));
  read.Update(error);
  return read;
}

absl::Status Recovery::SettleBlobs() {
  const auto shards = context_.root.List(kBlobsFolder);
  if (!shards.ok()) return shards.status();
  for (const DirectoryEntry& shard : *shards) {
    if (shard.kind != FileKind::kDirectory) continue;
    const std::string path = fmt::format("{}/{}", kBlobsFolder, shard.name);
    const auto blobs = context_.root.List(path);
    if (!blobs.ok()) return blobs.status();
    for (const DirectoryEntry& blob : *blobs) {
      if (absl::Status status = SettleBlob(path, blob.name); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status Recovery::SettleBlob(const std::string& shard, const std::string& name) {
  const auto folder = ParseSaveFolderName(name);
  const bool is_ours = folder.has_value() && !folder->save.empty() && shard == BlobShardPath(name);
  if (!is_ours || rows_.contains(name) || condemned_.contains(name)) return absl::OkStatus();
  const auto save = pending_.find(name);
  if (save == pending_.end()) return RemoveOrphan(BlobPath(name));
  const auto published = context_.blobs.FindPublished(save->second);
  if (!published.ok()) return published.status();
  if (!published->has_value()) return RemoveOrphan(BlobPath(name));
  // Step 4 may not be durable yet.
  if (const auto again = context_.blobs.Publish(save->second); !again.ok()) return again.status();
  result_.report.set_completed_saves(result_.report.completed_saves() + 1);
  unfinished_.insert(folder->run);
  pending_.erase(save);  // waits for no bytes
  return absl::OkStatus();
}

absl::Status Recovery::SettleStaging() {
  const auto folders = context_.root.List(kStagingFolder);
  if (!folders.ok()) return folders.status();
  for (const DirectoryEntry& entry : *folders) {
    if (absl::Status status = SettleStaged(entry.name); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Recovery::SettleStaged(const std::string& name) {
  const auto folder = ParseSaveFolderName(name);
  if (!folder.has_value()) return absl::OkStatus();
  const std::string path = StagingPath(name);
  const auto wanted = IsWanted(*folder, path);
  if (!wanted.ok()) return wanted.status();
  if (!*wanted) return RemoveOrphan(path);
  const auto entries = context_.root.List(path);
  if (!entries.ok()) return entries.status();
  for (const DirectoryEntry& entry : *entries) {
    const bool temporary = entry.name.starts_with('.') && entry.name.ends_with(".tmp");
    if (!temporary) continue;
    absl::Status removed = RemoveOrphan(path + '/' + entry.name);
    if (!removed.ok()) return removed;
  }
  if (absl::Status status = context_.staging.Add(name); !status.ok()) return status;
  return folder->stage_id.empty() ? CompleteSave(name, folder->run) : absl::OkStatus();
}

// The last part had come, or a stage had been adopted: nobody would send anything any more.
absl::Status Recovery::CompleteSave(const std::string& name, const std::string& run) {
  const auto parts = context_.staging.CompleteParts(name, /*world_size=*/1);
  if (!parts.ok()) return parts.status();
  if (!parts->has_value()) return absl::OkStatus();
  // It stays as it is when the disk is full, say; what is stored is served nevertheless.
  if (!context_.blobs.Publish(pending_.at(name)).ok()) return absl::OkStatus();
  result_.report.set_completed_saves(result_.report.completed_saves() + 1);
  unfinished_.insert(run);
  pending_.erase(name);  // waits for no bytes
  return absl::OkStatus();
}

absl::StatusOr<bool> Recovery::IsWanted(const SaveFolder& folder, const std::string& path) {
  const auto entries = context_.root.List(path);
  if (!entries.ok()) return entries.status();
  if (entries->empty()) return false;
  if (folder.stage_id.empty())
    return pending_.contains(SaveFolderName(folder.run, folder.save, ""));
  if (!runs_.contains(folder.run)) return false;
  const auto too_old = IsTooOld(path);
  if (!too_old.ok()) return too_old.status();
  return !*too_old;
}

// By the newest change of the folder or of a file in it.
absl::StatusOr<bool> Recovery::IsTooOld(const std::string& path) {
  const auto entries = context_.root.List(path);
  if (!entries.ok()) return entries.status();
  std::vector<std::string> paths = {path};
  for (const DirectoryEntry& entry : *entries) paths.push_back(path + '/' + entry.name);
  int64_t newest = 0;
  for (const std::string& each : paths) {
    const auto info = context_.root.Info(each);
    if (!info.ok()) return info.status();
    if (info->has_value()) newest = std::max(newest, (*info)->mtime_unix_nanos);
  }
  return (context_.now_unix_nanos - newest) / kNanosPerSecond > context_.stage_timeout_seconds;
}

absl::Status Recovery::PlaceNames() {
  const auto temporaries = RemoveTemporaries(context_.root);
  if (!temporaries.ok()) return temporaries.status();
  result_.report.set_removed_orphans(result_.report.removed_orphans() + *temporaries);
  for (const v1::Checkpoint& checkpoint : unplaced_) {
    const auto projected = context_.store.Project(checkpoint);
    if (!projected.ok()) return projected.status();
    for (const v1::Placement& placement : projected->placements()) {
      if (!placement.projection_error().empty()) continue;
      result_.report.set_projected_names(result_.report.projected_names() + 1);
    }
  }
  return absl::OkStatus();
}

absl::Status Recovery::FinishEvictions() {
  for (const v1::Eviction& eviction : evictions_) {
    if (absl::Status status = context_.store.Evict(eviction); !status.ok()) return status;
  }
  result_.report.set_finished_evictions(static_cast<int64_t>(evictions_.size()));
  return absl::OkStatus();
}

absl::Status Recovery::RemoveForeignRunFolders() {
  const auto folders = context_.root.List(kRunsFolder);
  if (!folders.ok()) return folders.status();
  for (const DirectoryEntry& entry : *folders) {
    if (entry.kind != FileKind::kDirectory || runs_.contains(entry.name)) continue;
    absl::Status removed = RemoveEmptyRunFolder(context_.root, entry.name);
    if (!removed.ok()) return removed;
  }
  return absl::OkStatus();
}

absl::Status Recovery::RemoveOrphan(const std::string& path) {
  const auto removed = RemoveTree(context_.root, path);
  if (!removed.ok()) return removed.status();
  if (*removed) result_.report.set_removed_orphans(result_.report.removed_orphans() + 1);
  return context_.root.Sync(FolderOf(path));
}

}  // namespace

absl::StatusOr<RecoveryResult> Recover(const RecoveryContext& context) {
  return Recovery(context).Run();
}

}  // namespace ckpt::storage
