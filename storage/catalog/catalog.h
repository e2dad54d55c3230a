// The index: every run, event, checkpoint, ranking and name, in RocksDB.
//
// Column families: `meta` (format version), `runs` (run rows, progress, statistics, metric
// dictionary), `saves` (pending), `checkpoints`, `ranking` (metric, value in order, id), `names`
// (file path to id), `evictions`, `events`, `history` (events as columns). FORMAT.md has the keys
// byte by byte.
//
// Thread-safe; writes wait for each other. Reads see only what is durable. Errors not named at a
// function: STORAGE_FAILED, INDEX_DAMAGED (also for a row) and DISK_FULL. Nothing was changed then.
// After DISK_FULL writes fail until, seconds after there is room, the index goes on by itself.
// After a write that failed otherwise it takes no more of them until it is opened again, and may
// then turn out to hold the batch whose sync failed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/records.pb.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/catalog/query.h"
#include "storage/catalog/run_update.h"

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace ckpt::storage {

struct CatalogOptions {
  std::string path;  // folder of the index, created if missing; the caller syncs its parent then
  int64_t cache_bytes = 32LL << 20;  // block cache and write buffers together
  // Called from a RocksDB thread when the index has stopped taking writes for good. Must not block.
  // Not called for a full disk: writes fail with DISK_FULL until there is room again.
  std::function<void(const std::string& what)> on_error;
  rocksdb::Env* env = nullptr;  // the index's files; not owned, RocksDB's default when null
};

class Catalog {
 public:
  // VERSION_TOO_NEW if the index was written by a newer version. Never repairs by dropping
  // acknowledged writes: only an incomplete last log record is forgiven.
  static absl::StatusOr<std::unique_ptr<Catalog>> Open(const CatalogOptions& options);
  virtual ~Catalog() = default;

  // Step 5 of the commit: one synced batch for all updates, in their order; later ones see what
  // earlier ones did. A file path belongs to the newest checkpoint (highest id) that was committed
  // with it, so that a slow save never takes a name from a newer one. A checkpoint left without a
  // path is condemned: its row and ranking rows go, an eviction row comes, and it is in the result,
  // with the paths it had until now. A committed checkpoint that has a row already (recovery) is
  // left as it is. RUN_NOT_FOUND for a run without a row; FIELD_INVALID and NAME_INVALID for names,
  // ids and metrics of which no key can be made.
  virtual absl::StatusOr<ApplyResult> Apply(std::span<const RunUpdate> updates) = 0;
  // Removes all rows of a run in one synced batch; its checkpoints become evictions. RUN_NOT_FOUND.
  virtual absl::StatusOr<ApplyResult> DeleteRun(std::string_view run) = 0;
  // Removes an eviction row. OK if there is none.
  virtual absl::Status FinishEviction(std::string_view run, std::string_view id) = 0;
  // Records why a name of a checkpoint could not be put in place (empty: it could). OK if there is
  // no such checkpoint or name any more.
  virtual absl::Status SetProjectionError(std::string_view run, std::string_view id,
                                          std::string_view filepath, std::string_view error) = 0;

  // Records why a checkpoint cannot be read (empty: it can). Best and latest pass over such ones.
  // OK if there is no such checkpoint any more.
  virtual absl::Status SetDamage(std::string_view run, std::string_view id,
                                 std::string_view damage) = 0;
  // The metrics by which a checkpoint should be ranked and is not; none if there is no such
  // checkpoint. Rank writes the rows.
  virtual absl::StatusOr<std::vector<std::string>> UnrankedMetrics(std::string_view run,
                                                                   std::string_view id) const = 0;
  virtual absl::Status Rank(std::string_view run, std::string_view id) = 0;
  // Where the scheduled verification stands.
  virtual absl::Status SetScrubState(const v1::ScrubState& state) = 0;
  virtual absl::StatusOr<v1::ScrubState> GetScrubState() const = 0;
  // Makes a copy of the index as of now in the new folder `path`, an absolute path. As
  // IndexDb::Copy.
  virtual absl::Status Copy(const std::string& path) const = 0;

  // Id of the checkpoint that owns a file path; nothing if none does.
  virtual absl::StatusOr<std::optional<std::string>> NameOwner(std::string_view run,
                                                               std::string_view filepath) const = 0;
  // The first checkpoint after this one, which need not exist, in order of run, then id; of the
  // same run if `same_run`. An empty run or id comes before all others.
  virtual absl::StatusOr<std::optional<v1::Checkpoint>> NextCheckpoint(std::string_view run,
                                                                       std::string_view id,
                                                                       bool same_run) const = 0;
  // Each calls `each` until it returns false.
  virtual absl::Status ForEachRun(absl::FunctionRef<bool(const v1::Run&)> each) const = 0;
  virtual absl::Status ForEachCheckpoint(
      absl::FunctionRef<bool(const v1::Checkpoint&)> each) const = 0;
  virtual absl::Status ForEachSave(absl::FunctionRef<bool(const v1::Checkpoint&)> each) const = 0;
  virtual absl::Status ForEachEviction(absl::FunctionRef<bool(const v1::Eviction&)> each) const = 0;

  // As the functions of the same names of CheckpointStore.
  virtual absl::StatusOr<RunSnapshot> LoadRun(std::string_view run) const = 0;  // no `published`
  virtual absl::StatusOr<v1::Run> GetRun(std::string_view run) const = 0;
  virtual absl::StatusOr<RunPage> ListRuns(int page_size, std::string_view page_token,
                                           std::string_view filter) const = 0;
  virtual absl::StatusOr<v1::Checkpoint> GetCheckpoint(std::string_view run,
                                                       std::string_view id) const = 0;
  virtual absl::StatusOr<v1::Checkpoint> GetLatest(std::string_view run) const = 0;
  virtual absl::StatusOr<v1::Checkpoint> GetBest(std::string_view run, std::string_view metric,
                                                 bool maximize, std::string_view policy) const = 0;
  virtual absl::StatusOr<CheckpointPage> ListCheckpoints(const CheckpointQuery& query) const = 0;
  virtual absl::StatusOr<EventPage> ListEvents(std::string_view run, int rank, int page_size,
                                               std::string_view page_token) const = 0;
  virtual absl::StatusOr<std::optional<v1::EventRecord>> GetEvent(std::string_view run, int rank,
                                                                  uint64_t seq) const = 0;
  virtual absl::StatusOr<Series> GetSeries(const SeriesQuery& query) const = 0;

  struct Totals {
    int64_t runs = 0;
    int64_t checkpoints = 0;
    int64_t checkpoint_bytes = 0;
    int64_t open_saves = 0;
  };
  // Kept up to date by Apply; no scan.
  virtual Totals GetTotals() const = 0;
};

}  // namespace ckpt::storage
