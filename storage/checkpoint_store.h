// Everything ckptd keeps on disk, behind one interface.
//
// Life of a checkpoint, and the order in which its steps become durable (the crash protocol):
//
//   1. PartWriter::Append writes bytes into staging/ and hashes them; Finish verifies size and
//   digest
//   2. Finish fdatasyncs the part
//   3. Publish writes the manifest beside the parts and syncs it
//   4. Publish renames the staging folder into blobs/ and fsyncs both parent folders
//   5. Apply writes one synced index batch: checkpoint row, ranking rows, names, policy state and
//      event position of the run, removal of the pending row, eviction rows of the victims
//   6. Project puts the names under runs/ in place and fsyncs their folders
//   7. (the caller answers the trainer)
//   8. Evict removes what Apply condemned: names first, then the blob, then the eviction row
//
// A crash between any two steps leaves orphans, never dangling references: Open runs the steps
// forward from whatever it finds. Nothing is listed or readable before step 5. After a failed sync
// the file is given up, never synced again.
//
// All functions may block on the disk: call them from I/O threads. CheckpointStore is thread-safe,
// except that calls of Apply must not overlap (one writer, batching for all runs). Errors not named
// at a function: STORAGE_FAILED and DISK_FULL, after which the store still holds what it held.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/admin_service.pb.h"
#include "ckpt/v1/records.pb.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/base/clock.h"
#include "storage/base/format_version.h"
#include "storage/blob/part_io.h"
#include "storage/catalog/query.h"
#include "storage/catalog/run_update.h"
#include "storage/fs/file_system.h"

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace ckpt::storage {

struct StoreOptions {
  std::string data_dir;                    // created if missing
  int64_t index_cache_bytes = 32LL << 20;  // RocksDB block cache and write buffers together
  int64_t free_space_reserve_bytes = 0;    // what uploads leave free on the disk
  int64_t stage_timeout_seconds = 86'400;  // abandoned stages older than this go at Open
  FileSystem* file_system = nullptr;       // not owned; the real one when null
  rocksdb::Env* index_env = nullptr;       // the index's files; not owned; the real ones when null
  const Clock* clock = nullptr;            // not owned; the system's when null
  // Called from a RocksDB thread when the index has stopped taking writes. Must not block.
  std::function<void(const std::string& what)> on_index_error;
};

struct StoreStats {
  int64_t runs = 0;
  int64_t checkpoints = 0;
  int64_t checkpoint_bytes = 0;
  int64_t open_saves = 0;
  int64_t staged_bytes = 0;  // received and not yet published or discarded
  int64_t free_bytes = 0;
};

struct VerifyOptions {
  std::string run;    // run id; empty: all runs
  std::string after;  // name of the checkpoint after which to begin
  bool repair = false;
};

// A verification under way; see verify.h. Not thread-safe. Must not outlive its store.
class Verification {
 public:
  virtual ~Verification() = default;
  // Does one piece of work, of which reading 4 MiB is the largest but for repairs, and says in
  // `*response` what was found and where it stands. Not to be called after `done`. An error ends
  // the verification.
  virtual absl::Status Step(v1::VerifyResponse* response) = 0;
};

// A backup under way; see backup.h. Not thread-safe. Must not outlive its store.
class Backup {
 public:
  virtual ~Backup() = default;
  // Copies one checkpoint and, in the end, the index. Not to be called after `done`. An error ends
  // the backup; what there is of it is no data folder.
  virtual absl::Status Step(v1::BackupResponse* response) = 0;
};

class CheckpointStore {
 public:
  // Opens or creates the data folder, takes its lock, and recovers. Errors: DATA_DIR_IN_USE (with
  // the holder's pid), VERSION_TOO_NEW, FIELD_INVALID (not a folder, not writable, an unfinished
  // backup), INDEX_DAMAGED.
  static absl::StatusOr<std::unique_ptr<CheckpointStore>> Open(const StoreOptions& options);
  virtual ~CheckpointStore() = default;

  // What Open found and did.
  virtual const v1::RecoveryReport& recovery() const = 0;
  // Absolute path of the data folder.
  virtual const std::string& data_dir() const = 0;
  // Runs with a published save that waits for step 5.
  virtual const std::vector<std::string>& unfinished_runs() const = 0;

  // ---- The writer: one caller at a time.

  // Step 5. One synced index batch for all updates; all or none.
  virtual absl::StatusOr<ApplyResult> Apply(std::span<const RunUpdate> updates) = 0;
  // Removes every row of a run in one synced batch and condemns its checkpoints. The caller evicts
  // them, then calls RemoveRunFolder. RUN_NOT_FOUND.
  virtual absl::StatusOr<ApplyResult> DeleteRun(std::string_view run) = 0;

  // ---- Uploads.

  // Opens a part for writing where an earlier writer left it. UPLOAD_BUSY; DISK_FULL, before
  // any byte is taken, when `size_hint` does not fit beside StoreOptions::free_space_reserve_bytes.
  virtual absl::StatusOr<std::unique_ptr<PartWriter>> OpenPart(const PartTarget& target) = 0;
  // Finished parts of a save or stage if every part of `world_size` ranks is there; else nothing.
  virtual absl::StatusOr<std::optional<std::vector<v1::Part>>> CompleteParts(
      std::string_view run, std::string_view save, std::string_view stage_id, int world_size) = 0;
  // Makes the parts of a stage those of an open save. UPLOAD_BUSY; ALIAS_UNRESOLVED if there is no
  // such stage.
  virtual absl::Status AdoptStage(std::string_view run, std::string_view stage_id,
                                  std::string_view save) = 0;
  // Throws away the received bytes of a save or of a stage (the other one empty), also under the
  // hands of their writers. OK if none. UPLOAD_BUSY while they are being adopted or published.
  virtual absl::Status Discard(std::string_view run, std::string_view save,
                               std::string_view stage_id) = 0;
  // Steps 3 and 4. `save` is an open save all of whose parts are finished. Returns the checkpoint
  // to commit: with parts, size, commit_time and STATE_COMMITTED. Doing it again is harmless.
  // SAVE_NOT_OPEN if no part of it is finished; UPLOAD_BUSY as Discard.
  virtual absl::StatusOr<v1::Checkpoint> Publish(const v1::Checkpoint& save) = 0;

  // ---- Names and deletion.

  // Whether `filepath` could be projected now: PATH_BLOCKED when a symbolic link, a folder or a
  // file is in the way. Only looks; takes microseconds.
  virtual absl::Status CheckName(std::string_view run, std::string_view filepath) = 0;
  // Step 6. A name that cannot be put in place is reported in its placement's projection_error, in
  // the returned checkpoint and in the index; the checkpoint itself is safe.
  virtual absl::StatusOr<v1::Checkpoint> Project(const v1::Checkpoint& checkpoint) = 0;
  // Step 8. Harmless when done already.
  virtual absl::Status Evict(const v1::Eviction& eviction) = 0;
  // Removes runs/<run>/ if nothing but empty folders is left in it.
  virtual absl::Status RemoveRunFolder(std::string_view run) = 0;

  // ---- Reading. Never returns what a crash could take back.

  // RUN_NOT_FOUND.
  virtual absl::StatusOr<RunSnapshot> LoadRun(std::string_view run) const = 0;
  // The run resource; state is ENDED or DISCONNECTED. RUN_NOT_FOUND.
  virtual absl::StatusOr<v1::Run> GetRun(std::string_view run) const = 0;
  virtual absl::StatusOr<RunPage> ListRuns(int page_size, std::string_view page_token,
                                           std::string_view filter) const = 0;
  // By decimal id. CHECKPOINT_NOT_FOUND, RUN_NOT_FOUND.
  virtual absl::StatusOr<v1::Checkpoint> GetCheckpoint(std::string_view run,
                                                       std::string_view id) const = 0;
  // The newest committed one that is not damaged. ALIAS_UNRESOLVED, RUN_NOT_FOUND.
  virtual absl::StatusOr<v1::Checkpoint> GetLatest(std::string_view run) const = 0;
  // The best by `metric`, among those with a placement of `policy` if that is not empty; the first
  // of equals. NaN, absent values and damaged ones do not rank. A seek in the ranking rows.
  // ALIAS_UNRESOLVED, RUN_NOT_FOUND.
  virtual absl::StatusOr<v1::Checkpoint> GetBest(std::string_view run, std::string_view metric,
                                                 bool maximize, std::string_view policy) const = 0;
  // QUERY_INVALID, PAGE_TOKEN_INVALID, RUN_NOT_FOUND.
  virtual absl::StatusOr<CheckpointPage> ListCheckpoints(const CheckpointQuery& query) const = 0;
  // PAGE_TOKEN_INVALID, RUN_NOT_FOUND.
  virtual absl::StatusOr<EventPage> ListEvents(std::string_view run, int rank, int page_size,
                                               std::string_view page_token) const = 0;
  // One recorded event; nothing if there is none.
  virtual absl::StatusOr<std::optional<v1::EventRecord>> GetEvent(std::string_view run, int rank,
                                                                  uint64_t seq) const = 0;
  // Points of one metric; none if the run does not have it. RUN_NOT_FOUND.
  virtual absl::StatusOr<Series> GetSeries(const SeriesQuery& query) const = 0;
  // PART_NOT_FOUND, CHECKPOINT_NOT_FOUND, RUN_NOT_FOUND. An empty `part` means the only one of the
  // rank.
  virtual absl::StatusOr<std::unique_ptr<PartReader>> OpenRead(std::string_view run,
                                                               std::string_view id, int rank,
                                                               std::string_view part) const = 0;
  virtual absl::StatusOr<StoreStats> Stats() const = 0;

  // ---- Upkeep.

  // NAME_INVALID, FIELD_INVALID (`after` is no checkpoint of `run`), RUN_NOT_FOUND.
  virtual absl::StatusOr<std::unique_ptr<Verification>> Verify(const VerifyOptions& options) = 0;
  // `path` is absolute, outside of the data folder, and missing or an empty folder: FIELD_INVALID.
  // LIMIT_EXCEEDED while another backup is being made. What is committed now will be in it.
  virtual absl::StatusOr<std::unique_ptr<Backup>> BackUp(const std::string& path) = 0;
  // Where the scheduled verification stands; the store only keeps it.
  virtual absl::StatusOr<v1::ScrubState> GetScrubState() const = 0;
  virtual absl::Status SetScrubState(const v1::ScrubState& state) = 0;
};

}  // namespace ckpt::storage
