// Consistent copies of the data folder while the store is in use.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "ckpt/v1/admin_service.pb.h"
#include "storage/blob/blob_store.h"
#include "storage/catalog/catalog.h"
#include "storage/checkpoint_store.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

// All outlive the backup.
struct BackupContext {
  FileSystem& file_system;
  const std::string& data_dir;
  Directory& root;
  Catalog& catalog;
  BlobStore& blobs;
};

// Copies into the folder `path`, which becomes a data folder with its last step:
//
//   1. no blob is removed for as long as it takes to copy the index (a RocksDB checkpoint) and then
//      to link every blob into backup.staging/: so that each row of the copy has its blob, and what
//      is evicted later is in the copy still
//   2. blob by blob, then file by file of the index, the staged links are linked into `path`, or
//      copied when it is on another file system, and synced
//   3. VERSION is written: without it, nobody takes the folder for a data folder
//
// Names below runs/ and uploads on their way are not copied: opening the copy puts the names in
// place. backup.staging/ goes with the Backup, or with the next start.
//
// `turn` is let go with the Backup. FIELD_INVALID unless `path` is absolute, outside of the data
// folder, and missing or empty.
absl::StatusOr<std::unique_ptr<Backup>> MakeBackup(const BackupContext& context,
                                                   const std::string& path,
                                                   std::shared_ptr<void> turn);

}  // namespace ckpt::storage
