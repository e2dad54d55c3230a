#include "storage/catalog/catalog.h"

#include <fmt/format.h>

#include <mutex>
#include <utility>

#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "storage/catalog/checkpoint_list.h"
#include "storage/catalog/index_db.h"
#include "storage/catalog/key_encoding.h"
#include "storage/catalog/ranking.h"
#include "storage/catalog/rows.h"
#include "storage/catalog/run_rows.h"
#include "storage/catalog/update_batch.h"
#include "storage/history/event_log.h"
#include "storage/history/series.h"

namespace ckpt::storage {
namespace {

constexpr std::string_view kScrubKey = "scrub";  // in Table::kMeta

// Calls `each` with the rows of a table, parsed, until it returns false.
template <typename Message>
absl::Status ForEachRow(const ReadView& view, Table table,
                        absl::FunctionRef<bool(const Message&)> each) {
  Cursor cursor = view.Scan(table, "");
  for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) {
    const absl::StatusOr<Message> row = ParseRow<Message>(table, cursor.key(), cursor.value());
    if (!row.ok()) return row.status();
    if (!each(*row)) return absl::OkStatus();
  }
  return cursor.status();
}

absl::StatusOr<Catalog::Totals> SumTotals(const ReadView& view) {
  Catalog::Totals totals;
  absl::Status status = ForEachRunAfter(view, "", [&](const v1::Run& run) {
    ++totals.runs;
    totals.checkpoints += run.checkpoint_count();
    totals.checkpoint_bytes += run.checkpoint_bytes();
    return true;
  });
  if (!status.ok()) return status;
  Cursor saves = view.Scan(Table::kSaves, "");
  for (saves.SeekToFirst(); saves.Valid(); saves.Next()) ++totals.open_saves;
  if (!saves.status().ok()) return saves.status();
  return totals;
}

class RocksCatalog final : public Catalog {
 public:
  RocksCatalog(std::unique_ptr<IndexDb> index, const Totals& totals)
      : index_(std::move(index)), totals_(totals) {}

  absl::StatusOr<ApplyResult> Apply(std::span<const RunUpdate> updates) override {
    const std::lock_guard lock(write_mutex_);
    UpdateBatch batch(*index_);
    for (const RunUpdate& update : updates) {
      if (absl::Status s = batch.Add(update); !s.ok()) return s;
    }
    return Write(batch);
  }

  absl::StatusOr<ApplyResult> DeleteRun(std::string_view run) override {
    const std::lock_guard lock(write_mutex_);
    UpdateBatch batch(*index_);
    if (absl::Status s = batch.DeleteRun(run); !s.ok()) return s;
    return Write(batch);
  }

  absl::Status FinishEviction(std::string_view run, std::string_view id) override;
  absl::Status SetProjectionError(std::string_view run, std::string_view id,
                                  std::string_view filepath, std::string_view error) override;

  absl::Status SetDamage(std::string_view run, std::string_view id,
                         std::string_view damage) override;
  absl::StatusOr<std::vector<std::string>> UnrankedMetrics(std::string_view run,
                                                           std::string_view id) const override;
  absl::Status Rank(std::string_view run, std::string_view id) override;
  absl::Status SetScrubState(const v1::ScrubState& state) override;
  absl::StatusOr<v1::ScrubState> GetScrubState() const override;
  absl::Status Copy(const std::string& path) const override { return index_->Copy(path); }

  absl::StatusOr<std::optional<std::string>> NameOwner(std::string_view run,
                                                       std::string_view filepath) const override;
  absl::StatusOr<std::optional<v1::Checkpoint>> NextCheckpoint(std::string_view run,
                                                               std::string_view id,
                                                               bool same_run) const override;

  absl::Status ForEachRun(absl::FunctionRef<bool(const v1::Run&)> each) const override {
    return ForEachRunAfter(index_->View(), "", each);
  }
  absl::Status ForEachCheckpoint(
      absl::FunctionRef<bool(const v1::Checkpoint&)> each) const override {
    return ForEachRow<v1::Checkpoint>(index_->View(), Table::kCheckpoints, each);
  }
  absl::Status ForEachSave(absl::FunctionRef<bool(const v1::Checkpoint&)> each) const override {
    return ForEachRow<v1::Checkpoint>(index_->View(), Table::kSaves, each);
  }
  absl::Status ForEachEviction(absl::FunctionRef<bool(const v1::Eviction&)> each) const override {
    return ForEachRow<v1::Eviction>(index_->View(), Table::kEvictions, each);
  }

  absl::StatusOr<RunSnapshot> LoadRun(std::string_view run) const override {
    return ReadRunSnapshot(index_->View(), run);
  }
  absl::StatusOr<v1::Run> GetRun(std::string_view run) const override {
    return ReadRun(index_->View(), run);
  }
  absl::StatusOr<RunPage> ListRuns(int page_size, std::string_view page_token,
                                   std::string_view filter) const override {
    return FindRuns(index_->View(), page_size, page_token, filter);
  }

  absl::StatusOr<v1::Checkpoint> GetCheckpoint(std::string_view run,
                                               std::string_view id) const override;
  absl::StatusOr<v1::Checkpoint> GetLatest(std::string_view run) const override;
  absl::StatusOr<v1::Checkpoint> GetBest(std::string_view run, std::string_view metric,
                                         bool maximize, std::string_view policy) const override;
  absl::StatusOr<CheckpointPage> ListCheckpoints(const CheckpointQuery& query) const override;
  absl::StatusOr<EventPage> ListEvents(std::string_view run, int rank, int page_size,
                                       std::string_view page_token) const override;
  absl::StatusOr<std::optional<v1::EventRecord>> GetEvent(std::string_view run, int rank,
                                                          uint64_t seq) const override {
    return FindEvent(index_->View(), run, rank, seq);
  }
  absl::StatusOr<Series> GetSeries(const SeriesQuery& query) const override;

  Totals GetTotals() const override {
    const std::lock_guard lock(totals_mutex_);
    return totals_;
  }

 private:
  // Needs write_mutex_.
  absl::StatusOr<ApplyResult> Write(UpdateBatch& batch) {
    absl::StatusOr<Batch> writes = batch.TakeBatch();
    if (!writes.ok()) return writes.status();
    if (absl::Status s = index_->Write(*std::move(writes)); !s.ok()) return s;
    const std::lock_guard lock(totals_mutex_);
    totals_.runs += batch.change().runs;
    totals_.checkpoints += batch.change().checkpoints;
    totals_.checkpoint_bytes += batch.change().checkpoint_bytes;
    totals_.open_saves += batch.change().open_saves;
    return batch.TakeResult();
  }

  // Rewrites the row of a checkpoint unless `edit` returns false. OK if there is none.
  absl::Status EditCheckpoint(std::string_view run, std::string_view id,
                              absl::FunctionRef<bool(v1::Checkpoint&)> edit);

  const std::unique_ptr<IndexDb> index_;
  // Writers read rows before they change them: one at a time. Readers are not held up.
  std::mutex write_mutex_;
  mutable std::mutex totals_mutex_;  // taken after write_mutex_
  Totals totals_;                    // guarded by totals_mutex_
};

absl::Status RocksCatalog::FinishEviction(std::string_view run, std::string_view id) {
  const auto number = ParseCheckpointId(id);
  if (!number.has_value()) return absl::OkStatus();
  const std::lock_guard lock(write_mutex_);
  Batch batch = index_->NewBatch();
  batch.Delete(Table::kEvictions, CheckpointKey(run, *number));
  return index_->Write(std::move(batch));
}

absl::Status RocksCatalog::EditCheckpoint(std::string_view run, std::string_view id,
                                          absl::FunctionRef<bool(v1::Checkpoint&)> edit) {
  const auto number = ParseCheckpointId(id);
  if (!number.has_value()) return absl::OkStatus();
  const std::lock_guard lock(write_mutex_);
  Batch batch = index_->NewBatch();
  const std::string key = CheckpointKey(run, *number);
  auto row = ReadRow<v1::Checkpoint>(batch, Table::kCheckpoints, key);
  if (!row.ok()) return row.status();
  if (!row->has_value() || !edit(**row)) return absl::OkStatus();
  batch.Put(Table::kCheckpoints, key, (*row)->SerializeAsString());
  return index_->Write(std::move(batch));
}

absl::Status RocksCatalog::SetProjectionError(std::string_view run, std::string_view id,
                                              std::string_view filepath, std::string_view error) {
  return EditCheckpoint(run, id, [&](v1::Checkpoint& row) {
    bool changed = false;
    for (v1::Placement& placement : *row.mutable_placements()) {
      if (placement.filepath() != filepath || placement.projection_error() == error) continue;
      placement.set_projection_error(std::string(error));
      changed = true;
    }
    return changed;
  });
}

absl::Status RocksCatalog::SetDamage(std::string_view run, std::string_view id,
                                     std::string_view damage) {
  return EditCheckpoint(run, id, [&](v1::Checkpoint& row) {
    const bool changed = row.damage() != damage;
    row.set_damage(std::string(damage));
    return changed;
  });
}

absl::StatusOr<std::vector<std::string>> RocksCatalog::UnrankedMetrics(std::string_view run,
                                                                       std::string_view id) const {
  const auto number = ParseCheckpointId(id);
  if (!number.has_value()) return std::vector<std::string>();
  const ReadView view = index_->View();
  const auto row = ReadRow<v1::Checkpoint>(view, Table::kCheckpoints, CheckpointKey(run, *number));
  if (!row.ok()) return row.status();
  if (!row->has_value()) return std::vector<std::string>();
  return storage::UnrankedMetrics(view, run, *number, **row);
}

absl::Status RocksCatalog::Rank(std::string_view run, std::string_view id) {
  const auto number = ParseCheckpointId(id);
  if (!number.has_value()) return absl::OkStatus();
  const std::lock_guard lock(write_mutex_);
  Batch batch = index_->NewBatch();
  const auto row = ReadRow<v1::Checkpoint>(batch, Table::kCheckpoints, CheckpointKey(run, *number));
  if (!row.ok()) return row.status();
  if (!row->has_value()) return absl::OkStatus();
  for (const auto& [metric, value] : (*row)->metrics()) {
    if (Ranks(value)) batch.PutUnseen(Table::kRanking, RankingKey(run, metric, value, *number), "");
  }
  return index_->Write(std::move(batch));
}

absl::Status RocksCatalog::SetScrubState(const v1::ScrubState& state) {
  const std::lock_guard lock(write_mutex_);
  Batch batch = index_->NewBatch();
  batch.Put(Table::kMeta, kScrubKey, state.SerializeAsString());
  return index_->Write(std::move(batch));
}

absl::StatusOr<v1::ScrubState> RocksCatalog::GetScrubState() const {
  auto row = ReadRow<v1::ScrubState>(index_->View(), Table::kMeta, kScrubKey);
  if (!row.ok()) return row.status();
  return row->value_or(v1::ScrubState());
}

absl::StatusOr<std::optional<v1::Checkpoint>> RocksCatalog::NextCheckpoint(std::string_view run,
                                                                           std::string_view id,
                                                                           bool same_run) const {
  const ReadView view = index_->View();
  Cursor cursor = view.Scan(Table::kCheckpoints, same_run ? RunPrefix(run) : "");
  // No id is the highest number.
  const uint64_t after = ParseCheckpointId(id).value_or(0);
  run.empty() ? cursor.SeekToFirst() : cursor.Seek(CheckpointKey(run, after + 1));
  if (!cursor.status().ok()) return cursor.status();
  if (!cursor.Valid()) return std::optional<v1::Checkpoint>();
  auto row = ParseRow<v1::Checkpoint>(Table::kCheckpoints, cursor.key(), cursor.value());
  if (!row.ok()) return row.status();
  return std::optional(*std::move(row));
}

absl::StatusOr<std::optional<std::string>> RocksCatalog::NameOwner(
    std::string_view run, std::string_view filepath) const {
  if (!HasKey(run) || !HasKey(filepath)) return std::nullopt;
  const std::string key = NameKey(run, filepath);
  const auto owner = index_->View().Get(Table::kNames, key);
  if (!owner.ok()) return owner.status();
  if (!owner->has_value()) return std::nullopt;
  if ((*owner)->size() != kU64Bytes) return DamagedRow(Table::kNames, key);
  return std::to_string(DecodeU64(**owner));
}

absl::StatusOr<v1::Checkpoint> RocksCatalog::GetCheckpoint(std::string_view run,
                                                           std::string_view id) const {
  const ReadView view = index_->View();
  if (absl::Status s = CheckRunExists(view, run); !s.ok()) return s;
  const auto number = ParseCheckpointId(id);
  if (!number.has_value()) return CheckpointNotFound(CheckpointName(run, id));
  auto row = ReadRow<v1::Checkpoint>(view, Table::kCheckpoints, CheckpointKey(run, *number));
  if (!row.ok()) return row.status();
  if (!row->has_value()) return CheckpointNotFound(CheckpointName(run, id));
  return **std::move(row);
}

absl::StatusOr<v1::Checkpoint> RocksCatalog::GetLatest(std::string_view run) const {
  const ReadView view = index_->View();
  if (absl::Status s = CheckRunExists(view, run); !s.ok()) return s;
  Cursor cursor = view.Scan(Table::kCheckpoints, RunPrefix(run));
  for (cursor.SeekToLast(); cursor.Valid(); cursor.Prev()) {
    auto row = ParseRow<v1::Checkpoint>(Table::kCheckpoints, cursor.key(), cursor.value());
    if (!row.ok() || row->damage().empty()) return row;
  }
  if (!cursor.status().ok()) return cursor.status();
  return AliasUnresolved(run, "latest", "nothing has been committed yet");
}

absl::StatusOr<v1::Checkpoint> RocksCatalog::GetBest(std::string_view run, std::string_view metric,
                                                     bool maximize, std::string_view policy) const {
  const ReadView view = index_->View();
  if (absl::Status s = CheckRunExists(view, run); !s.ok()) return s;
  return FindBest(view, run, metric, maximize, policy);
}

absl::StatusOr<CheckpointPage> RocksCatalog::ListCheckpoints(const CheckpointQuery& query) const {
  const ReadView view = index_->View();
  if (!query.run.empty()) {
    if (absl::Status s = CheckRunExists(view, query.run); !s.ok()) return s;
  }
  return FindCheckpoints(view, query);
}

absl::StatusOr<EventPage> RocksCatalog::ListEvents(std::string_view run, int rank, int page_size,
                                                   std::string_view page_token) const {
  const ReadView view = index_->View();
  if (absl::Status s = CheckRunExists(view, run); !s.ok()) return s;
  return FindEvents(view, run, rank, page_size, page_token);
}

absl::StatusOr<Series> RocksCatalog::GetSeries(const SeriesQuery& query) const {
  const ReadView view = index_->View();
  if (absl::Status s = CheckRunExists(view, query.run); !s.ok()) return s;
  const auto metric = FindMetric(view, query.run, query.metric);
  if (!metric.ok()) return metric.status();
  if (!metric->has_value()) return Series();
  return FindSeries(view, query, **metric);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(const CatalogOptions& options) {
  absl::StatusOr<std::unique_ptr<IndexDb>> index = IndexDb::Open(options);
  if (!index.ok()) return index.status();
  const absl::StatusOr<Totals> totals = SumTotals((*index)->View());
  if (!totals.ok()) return totals.status();
  return std::make_unique<RocksCatalog>(*std::move(index), *totals);
}

}  // namespace ckpt::storage
