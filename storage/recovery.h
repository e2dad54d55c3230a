// What Open does after a crash, or after an orderly end: the same.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ckpt/v1/admin_service.pb.h"
#include "storage/blob/blob_store.h"
#include "storage/blob/staging.h"
#include "storage/catalog/catalog.h"
#include "storage/checkpoint_store.h"
#include "storage/fs/file_system.h"
#include "storage/names.h"

namespace ckpt::storage {

struct RecoveryContext {
  CheckpointStore& store;  // for the steps that recovery runs forward
  Directory& root;
  Catalog& catalog;
  Staging& staging;  // empty yet
  BlobStore& blobs;
  Names& names;
  int64_t now_unix_nanos = 0;
  int64_t stage_timeout_seconds = 0;
};

struct RecoveryResult {
  v1::RecoveryReport report;                 // without the time it took
  std::vector<std::string> unfinished_runs;  // ids, sorted
};

// Brings the files in line with the index, which is the truth:
//
//   1. a blob without a row is a published save if its pending row exists and its manifest is
//   whole, and
//      goes on to step 5; else it is an orphan
//   2. what is staged stays if it is a pending save's, or a stage of a known run and not too old; a
//      pending save that lacks no part is published, and goes on to step 5
//   3. names that are missing, have an error, or lead elsewhere are put in place (step 6)
//   4. evictions are finished (step 8): after the names, so that a name goes over from the old
//      checkpoint to the new one without a gap
//   5. empty folders of runs that are gone are removed
//
// Each step only does what an uninterrupted daemon would have done, or removes what nothing refers
// to, so that a crash at any point of recovery is recovered from in the same way.
absl::StatusOr<RecoveryResult> Recover(const RecoveryContext& context);

}  // namespace ckpt::storage
