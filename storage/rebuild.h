// Makes the index again when RocksDB is lost or damaged.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/base/clock.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

struct RebuildOptions {
  std::string data_dir;                    // must exist
  int64_t index_cache_bytes = 32LL << 20;  // as StoreOptions
  FileSystem* file_system = nullptr;       // not owned; the real one when null
  const Clock* clock = nullptr;            // not owned; the system's when null
};

struct RebuildReport {
  std::string old_index;      // folder in the data folder where the old index is now; empty: none
  bool salvaged = false;      // whether anything could be read of it
  bool salvaged_all = false;  // whether every table of it could be read from end to end
  bool resumed = false;       // an earlier rebuild was brought to its end; nothing else was done
  int64_t runs = 0;
  int64_t checkpoints = 0;
  int64_t events = 0;          // salvaged
  int64_t dropped_events = 0;  // salvaged, but of metrics whose names are lost
  int64_t dropped_rows = 0;    // checkpoints in the old index that have no files
  // Blobs that nothing is known of: neither manifest nor row can be read. They are in the folder
  // `set_aside` of the data folder.
  std::vector<std::string> unknown_blobs;
  std::string set_aside;
};

// Makes a new index of the manifests in blobs/ and of the rows of the old index that can still be
// read, and puts it into the place of the old one, which stays as index.damaged-<time>. The daemon
// is not running (DATA_DIR_IN_USE). It may be killed at any moment, and is then run again. Up to
// the last step the old index is in its place, untouched. The new index equals the lost one but for
// what FORMAT.md ("Rebuild") lists. CheckpointStore::Open, which brings the files in line, comes
// next.
//
// FIELD_INVALID (no such folder, or an unfinished backup), DATA_DIR_IN_USE, VERSION_TOO_NEW (of the
// folder, the old index or a manifest), DISK_FULL, STORAGE_FAILED.
absl::StatusOr<RebuildReport> RebuildIndex(const RebuildOptions& options);

}  // namespace ckpt::storage
