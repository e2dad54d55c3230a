#include "storage/blob/blob_store.h"

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "storage/base/errors.h"
#include "storage/base/format_version.h"
#include "storage/base/names.h"
#include "storage/blob/layout.h"
#include "storage/blob/records.h"
#include "storage/fs/folders.h"
#include "storage/fs/small_file.h"

namespace ckpt::storage {
namespace {

// Removes what uploading left beside the parts. Of no consequence when it fails: readers go by the
// manifest, and removal by the folder.
void RemoveLeftovers(Directory& root, const std::string& blob, const v1::Checkpoint& checkpoint) {
  const auto entries = root.List(blob);
  if (!entries.ok()) return;
  for (const DirectoryEntry& entry : *entries) {
    const bool is_part = std::any_of(
        checkpoint.parts().begin(), checkpoint.parts().end(),
        [&](const v1::Part& part) { return entry.name == PartFileName(part.rank(), part.part()); });
    if (is_part || entry.name == kManifestFile) continue;
    RemoveTree(root, blob + '/' + entry.name).status().IgnoreError();
  }
}

}  // namespace

absl::StatusOr<std::string> SaveFolderNameOf(const v1::Checkpoint& checkpoint) {
  const auto ref = ParseCheckpointName(checkpoint.name());
  if (!ref.ok()) return ref.status();
  std::string folder = SaveFolderName(ref->run, ref->id, "");
  if (ParseSaveFolderName(folder).has_value()) return folder;
  return NameInvalid("checkpoint name", checkpoint.name(), "runs/{run}/checkpoints/{number}");
}

bool SameSave(const v1::Checkpoint& a, const v1::Checkpoint& b) {
  return a.name() == b.name() && a.seq() == b.seq() && a.writer_epoch() == b.writer_epoch() &&
         a.create_time().seconds() == b.create_time().seconds() &&
         a.create_time().nanos() == b.create_time().nanos();
}

absl::StatusOr<v1::Checkpoint> BlobStore::Publish(const v1::Checkpoint& save, const v1::Run& run) {
  const auto named = SaveFolderNameOf(save);
  if (!named.ok()) return named.status();
  const std::string& folder = *named;
  const auto published = FindPublished(save);
  if (!published.ok()) return published.status();
  if (published->has_value()) {
    if (absl::Status status = SyncMove(folder); !status.ok()) return status;
    // A sender that did not hear of it may have begun again.
    staging_.Discard(folder).IgnoreError();
    RemoveLeftovers(root_, BlobPath(folder), **published);
    return **published;
  }
  auto claim = staging_.Seize(folder);
  if (!claim.ok()) return claim.status();
  auto parts = staging_.FinishedParts(folder);
  if (!parts.ok()) return parts.status();
  if (parts->empty()) return SaveNotOpen(save.name(), "no part of it has been received");

  v1::Checkpoint checkpoint = save;
  checkpoint.set_state(v1::Checkpoint::STATE_COMMITTED);
  checkpoint.set_size(0);
  checkpoint.mutable_parts()->Clear();
  for (v1::Part& part : *parts) {
    checkpoint.set_size(checkpoint.size() + part.size());
    *checkpoint.add_parts() = std::move(part);
  }
  *checkpoint.mutable_commit_time() =
      google::protobuf::util::TimeUtil::NanosecondsToTimestamp(clock_.UnixNanos());
  if (absl::Status status = WriteManifest(checkpoint, run, folder); !status.ok()) return status;
  if (absl::Status status = MoveIntoPlace(folder); !status.ok()) return status;
  claim->Forget();
  if (absl::Status status = SyncMove(folder); !status.ok()) return status;
  RemoveLeftovers(root_, BlobPath(folder), checkpoint);
  return WithoutBlockDigests(std::move(checkpoint));
}

// Step 3: the manifest is written beside the parts and synced, and the folder with it.
absl::Status BlobStore::WriteManifest(const v1::Checkpoint& checkpoint, const v1::Run& run,
                                      const std::string& folder) {
  for (const v1::Part& part : checkpoint.parts()) {
    // From here on nobody changes the bytes, not even through a link to them.
    const std::string path = StagingPath(folder) + '/' + PartFileName(part.rank(), part.part());
    const auto file = root_.Open(path, OpenMode::kRead);
    if (!file.ok()) return file.status();
    if (absl::Status status = (*file)->SetMode(kPartMode); !status.ok()) return status;
  }
  v1::Manifest manifest;
  manifest.set_format_version(kFormatVersion);
  *manifest.mutable_checkpoint() = checkpoint;
  if (!run.name().empty()) *manifest.mutable_run() = run;
  const auto json = EncodeManifest(manifest);
  if (!json.ok()) return json.status();
  return ReplaceSmallFile(root_, StagingPath(folder) + '/' + kManifestFile, *json);
}

// Step 4: the folder is renamed into blobs/. What a removed checkpoint of the same name or a
// damaged attempt has left there makes room first.
absl::Status BlobStore::MoveIntoPlace(const std::string& folder) {
  absl::Status made = EnsureFolder(root_, BlobShardPath(folder));
  if (!made.ok()) return made;
  if (const auto removed = RemoveTree(root_, BlobPath(folder)); !removed.ok()) {
    return removed.status();
  }
  return root_.Rename(StagingPath(folder), BlobPath(folder));
}

// Step 4, continued: both parent folders are synced.
absl::Status BlobStore::SyncMove(const std::string& folder) {
  absl::Status synced = root_.Sync(BlobShardPath(folder));
  return synced.ok() ? root_.Sync(kStagingFolder) : synced;
}

absl::StatusOr<std::optional<v1::Checkpoint>> BlobStore::FindPublished(const v1::Checkpoint& save) {
  auto manifest = ReadManifest(save);
  const bool damaged = ReasonOf(manifest.status()) == v1::ERROR_REASON_BLOB_CORRUPT;
  if (!manifest.ok() && !damaged) return manifest.status();
  if (damaged || !SameSave(manifest->checkpoint(), save)) return std::optional<v1::Checkpoint>();
  return std::optional(WithoutBlockDigests(std::move(*manifest->mutable_checkpoint())));
}

absl::StatusOr<v1::Manifest> BlobStore::ReadManifest(const v1::Checkpoint& checkpoint) {
  const std::string& name = checkpoint.name();
  const auto folder = SaveFolderNameOf(checkpoint);
  if (!folder.ok()) return folder.status();
  const auto json = ReadSmallFile(root_, BlobPath(*folder) + '/' + kManifestFile, kMaxRecordBytes);
  if (ReasonOf(json.status()) == v1::ERROR_REASON_FIELD_INVALID) {
    return BlobCorrupt(name, kManifestFile, MessageOf(json.status()));
  }
  if (!json.ok()) return json.status();
  if (!json->has_value()) return BlobCorrupt(name, kManifestFile, "the file is missing");
  auto manifest = DecodeManifest(**json);
  if (ReasonOf(manifest.status()) == v1::ERROR_REASON_VERSION_TOO_NEW) {
    return Annotate(manifest.status(), fmt::format("the manifest of '{}'", name));
  }
  if (!manifest.ok()) return BlobCorrupt(name, kManifestFile, MessageOf(manifest.status()));
  if (manifest->checkpoint().name() != name) {
    return BlobCorrupt(name, kManifestFile,
                       fmt::format("it is that of '{}'", manifest->checkpoint().name()));
  }
  return manifest;
}

absl::Status BlobStore::Remove(const v1::Checkpoint& checkpoint) {
  const auto folder = SaveFolderNameOf(checkpoint);
  if (!folder.ok()) return folder.status();
  const std::shared_lock removing(removals_);
  const auto manifest = ReadManifest(checkpoint);
  if (manifest.ok() && !SameSave(manifest->checkpoint(), checkpoint)) return absl::OkStatus();
  const auto removed = RemoveTree(root_, BlobPath(*folder));
  if (!removed.ok()) return removed.status();
  return *removed ? root_.Sync(BlobShardPath(*folder)) : absl::OkStatus();
}

}  // namespace ckpt::storage
