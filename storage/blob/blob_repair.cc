#include "storage/blob/blob_repair.h"

#include <fmt/format.h>

#include <utility>

#include "ckpt/v1/records.pb.h"
#include "storage/base/digest.h"
#include "storage/base/errors.h"
#include "storage/base/format_version.h"
#include "storage/blob/blob_store.h"
#include "storage/blob/layout.h"
#include "storage/blob/records.h"
#include "storage/fs/copy_file.h"
#include "storage/fs/folders.h"
#include "storage/fs/small_file.h"

namespace ckpt::storage {
namespace {

absl::StatusOr<StreamDigest> DigestOf(Directory& root, const std::string& path) {
  const auto file = root.Open(path, OpenMode::kRead);
  if (!file.ok()) return file.status();
  StreamDigest digest;
  std::string block(kDigestBlockBytes, '\0');
  for (;;) {
    const auto got = (*file)->Read(digest.size(), block);
    if (!got.ok()) return got.status();
    if (*got == 0) return digest;
    digest.Update(std::string_view(block).substr(0, static_cast<size_t>(*got)));
  }
}

bool Matches(const StreamDigest& digest, const v1::Part& part) {
  return digest.size() == part.size() && digest.Whole() == part.xxh3_128();
}

}  // namespace

absl::StatusOr<bool> RestorePart(Directory& root, const v1::Checkpoint& checkpoint,
                                 const v1::Part& part, const std::string& source) {
  const auto folder = SaveFolderNameOf(checkpoint);
  if (!folder.ok()) return folder.status();
  const auto info = root.Info(source);
  if (!info.ok()) return info.status();
  const bool fits =
      info->has_value() && (*info)->kind == FileKind::kFile && (*info)->size == part.size();
  if (!fits) return false;
  const std::string path = BlobPath(*folder) + '/' + PartFileName(part.rank(), part.part());
  const std::string temporary = TemporaryFor(path);
  if (const auto removed = RemoveTree(root, temporary); !removed.ok()) return removed.status();
  if (absl::Status copied = CopyFile(root, source, root, temporary, kPartMode); !copied.ok()) {
    return copied;
  }
  // Of the copy: its owner may be changing the source.
  const auto digest = DigestOf(root, temporary);
  if (!digest.ok()) return digest.status();
  if (!Matches(*digest, part)) {
    absl::Status removed = root.Unlink(temporary);
    if (!removed.ok()) return removed;
    return false;
  }
  absl::Status moved = root.Rename(temporary, path);
  if (moved.ok()) moved = root.Sync(BlobPath(*folder));
  if (!moved.ok()) return moved;
  return true;
}

absl::Status RestoreManifest(Directory& root, const v1::Checkpoint& row, const v1::Run& run) {
  const auto folder = SaveFolderNameOf(row);
  if (!folder.ok()) return folder.status();
  v1::Manifest manifest;
  manifest.set_format_version(kFormatVersion);
  *manifest.mutable_run() = run;
  v1::Checkpoint& checkpoint = *manifest.mutable_checkpoint() = row;
  checkpoint.clear_damage();
  for (v1::Part& part : *checkpoint.mutable_parts()) {
    const auto digest =
        DigestOf(root, BlobPath(*folder) + '/' + PartFileName(part.rank(), part.part()));
    if (!digest.ok()) return digest.status();
    if (!Matches(*digest, part)) {
      return BlobCorrupt(row.name(), part.part(), "its file does not match the index");
    }
    part.set_block_digests(digest->Blocks());
  }
  const auto json = EncodeManifest(manifest);
  if (!json.ok()) return json.status();
  return ReplaceSmallFile(root, BlobPath(*folder) + '/' + kManifestFile, *json);
}

}  // namespace ckpt::storage
