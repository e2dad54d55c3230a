// Verification (scrub): whether what is stored is what was stored.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "ckpt/v1/admin_service.pb.h"
#include "storage/blob/blob_store.h"
#include "storage/catalog/catalog.h"
#include "storage/checkpoint_store.h"
#include "storage/fs/file_system.h"
#include "storage/names.h"

namespace ckpt::storage {

// All outlive the verification.
struct VerifyContext {
  CheckpointStore& store;  // for putting names back
  Directory& root;
  Catalog& catalog;
  BlobStore& blobs;
  Names& names;
};

// Goes through the checkpoints in order of run, then id. Of each it compares the row with the
// manifest, the names and the ranking rows with the row, and all bytes of its files with the
// digests in both. (A ranking row without a checkpoint is found when it is read: IndexDamaged.
// Event rows may be missing, since a rebuilt index has those that could be salvaged.) What is
// deleted meanwhile is not damaged. With VerifyOptions::repair it then
//
//   - replaces a damaged part by an intact file under one of its names: a copy, or a link to a file
//     that is gone from the blob
//   - writes a damaged manifest again, if all parts match the row
//   - puts names and ranking rows back
//   - marks the row (Checkpoint.damage) if bytes or manifest are beyond that, and takes the mark
//     away when they are good again.
absl::StatusOr<std::unique_ptr<Verification>> MakeVerification(const VerifyContext& context,
                                                               const VerifyOptions& options);

}  // namespace ckpt::storage
