// Builds the one batch that applies updates of runs: which rows come and go.
//
// Names decide what lives. A file path belongs to the newest checkpoint (highest id) that was given
// it; when a path changes hands its old owner loses the placements of that path; a checkpoint that
// loses its last one is condemned: its row, ranking rows and names go, and an eviction row comes.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/records.pb.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/catalog/catalog.h"
#include "storage/catalog/index_db.h"
#include "storage/catalog/run_update.h"
#include "storage/history/history_writer.h"

namespace ckpt::storage {

// One batch in the making. Later updates see the effects of earlier ones. After an error it must be
// thrown away. Not thread-safe.
class UpdateBatch {
 public:
  explicit UpdateBatch(const IndexDb& index) : index_(index), batch_(index.NewBatch()) {}

  // See Catalog::Apply. `update` must stay until TakeBatch. RUN_NOT_FOUND for an update of a run
  // that has no row and gets none; FIELD_INVALID for what no row can be made of (see CheckUpdate).
  absl::Status Add(const RunUpdate& update);
  // See Catalog::DeleteRun. Nothing may be added after it.
  absl::Status DeleteRun(std::string_view run);

  // Both to be taken once, when all is added: the batch, and what it does besides.
  absl::StatusOr<Batch> TakeBatch();
  ApplyResult TakeResult() { return {std::move(evictions_)}; }
  // Changes of the totals.
  const Catalog::Totals& change() const { return change_; }

 private:
  absl::Status AddRunRow(const RunUpdate& update);
  absl::Status OpenSave(std::string_view run, const v1::Checkpoint& save);
  absl::Status CloseSave(std::string_view run, uint64_t id);
  absl::Status Commit(std::string_view run, const v1::Checkpoint& published);
  // Id of the owner of a file path; 0 if none.
  absl::StatusOr<uint64_t> OwnerOf(std::string_view run, std::string_view filepath);
  absl::Status Lose(std::string_view run, uint64_t id, const std::set<std::string>& filepaths);
  absl::Status Delete(std::string_view run, uint64_t id);
  absl::Status Condemn(std::string_view run, uint64_t id, v1::Checkpoint checkpoint);
  absl::Status Count(std::string_view run, int64_t checkpoints, int64_t bytes);

  const IndexDb& index_;
  Batch batch_;
  HistoryWriter history_;
  std::vector<v1::Eviction> evictions_;
  Catalog::Totals change_;
};

// FIELD_INVALID or NAME_INVALID if rows cannot be made of `update`: names and ids that are none, of
// another run, or with a NUL in them.
absl::Status CheckUpdate(const RunUpdate& update);

}  // namespace ckpt::storage
