#include "storage/catalog/update_batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "storage/catalog/key_encoding.h"
#include "storage/catalog/ranking.h"
#include "storage/catalog/rows.h"
#include "storage/catalog/run_rows.h"
#include "storage/history/event_log.h"

namespace ckpt::storage {
namespace {

// Valid after CheckUpdate.
uint64_t IdOf(const v1::Checkpoint& checkpoint) {
  const std::string_view name = checkpoint.name();
  return ParseCheckpointId(name.substr(name.rfind('/') + 1)).value_or(0);
}

absl::Status CheckCheckpoint(std::string_view run, const v1::Checkpoint& checkpoint) {
  const absl::StatusOr<CheckpointRef> ref = ParseCheckpointName(checkpoint.name());
  if (!ref.ok()) return ref.status();
  if (ref->run != run || !ParseCheckpointId(ref->id).has_value()) {
    return FieldInvalid("checkpoint.name", checkpoint.name(),
                        fmt::format("it must be a checkpoint of run '{}'", run));
  }
  for (const auto& [metric, value] : checkpoint.metrics()) {
    if (!HasKey(metric)) return FieldInvalid("checkpoint.metrics", metric, "it holds a NUL");
  }
  for (const v1::Placement& placement : checkpoint.placements()) {
    if (absl::Status s = CheckPolicyName(placement.policy()); !s.ok()) return s;
    if (placement.filepath().empty() || !HasKey(placement.filepath())) {
      return FieldInvalid("placement.filepath", placement.filepath(), "it is empty or holds a NUL");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckIds(std::string_view field, const std::vector<std::string>& ids) {
  for (const std::string& id : ids) {
    if (!ParseCheckpointId(id).has_value()) return FieldInvalid(field, id, "it must be a number");
  }
  return absl::OkStatus();
}

// A checkpoint as its row has it.
v1::Checkpoint RowOf(const v1::Checkpoint& published) {
  v1::Checkpoint row = published;
  for (v1::Part& part : *row.mutable_parts()) part.clear_block_digests();
  return row;
}

void RemovePlacements(v1::Checkpoint& checkpoint, const std::set<std::string>& filepaths) {
  auto* placements = checkpoint.mutable_placements();
  placements->erase(std::remove_if(placements->begin(), placements->end(),
                                   [&](const v1::Placement& placement) {
                                     return filepaths.contains(placement.filepath());
                                   }),
                    placements->end());
}

}  // namespace

absl::Status CheckUpdate(const RunUpdate& update) {
  if (absl::Status s = CheckRunId(update.run); !s.ok()) return s;
  if (update.run_row.has_value() && update.run_row->name() != RunName(update.run)) {
    return FieldInvalid("run.name", update.run_row->name(),
                        fmt::format("it must be '{}'", RunName(update.run)));
  }
  for (const auto& [rank, events] : update.events.parts()) {
    if (rank < 0) return FieldInvalid("rank", std::to_string(rank), "it must not be negative");
  }
  for (const auto* checkpoints : {&update.opened_saves, &update.committed}) {
    for (const v1::Checkpoint& checkpoint : *checkpoints) {
      if (absl::Status s = CheckCheckpoint(update.run, checkpoint); !s.ok()) return s;
    }
  }
  if (absl::Status s = CheckIds("closed_saves", update.closed_saves); !s.ok()) return s;
  return CheckIds("deleted", update.deleted);
}

absl::Status UpdateBatch::Add(const RunUpdate& update) {
  if (absl::Status s = CheckUpdate(update); !s.ok()) return s;
  const std::string& run = update.run;
  if (absl::Status s = AddRunRow(update); !s.ok()) return s;
  if (update.progress.has_value()) {
    batch_.PutUnseen(Table::kRuns, RunKey(run, RunRow::kProgress),
                     update.progress->SerializeAsString());
  }
  for (const v1::MetricName& metric : update.new_metrics) {
    batch_.PutUnseen(Table::kRuns, MetricNameKey(run, metric.id()), metric.name());
  }
  PutEventRows(run, update.events, batch_);
  history_.Add(run, update.events);
  for (const v1::Checkpoint& save : update.opened_saves) {
    if (absl::Status s = OpenSave(run, save); !s.ok()) return s;
  }
  for (const std::string& id : update.closed_saves) {
    if (absl::Status s = CloseSave(run, *ParseCheckpointId(id)); !s.ok()) return s;
  }
  for (const v1::Checkpoint& checkpoint : update.committed) {
    if (absl::Status s = Commit(run, checkpoint); !s.ok()) return s;
  }
  for (const std::string& id : update.deleted) {
    if (absl::Status s = Delete(run, *ParseCheckpointId(id)); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::StatusOr<Batch> UpdateBatch::TakeBatch() {
  if (!history_.empty()) {
    if (absl::Status s = history_.Write(index_.View(), batch_); !s.ok()) return s;
  }
  return std::move(batch_);
}

absl::Status UpdateBatch::AddRunRow(const RunUpdate& update) {
  const std::string key = RunKey(update.run, RunRow::kRun);
  const auto row = batch_.Get(Table::kRuns, key);
  if (!row.ok()) return row.status();
  if (!row->has_value()) {
    if (!update.run_row.has_value()) return RunNotFound(update.run);
    ++change_.runs;
  }
  if (update.run_row.has_value()) {
    batch_.Put(Table::kRuns, key, update.run_row->SerializeAsString());
  }
  return absl::OkStatus();
}

absl::Status UpdateBatch::OpenSave(std::string_view run, const v1::Checkpoint& save) {
  const std::string key = CheckpointKey(run, IdOf(save));
  const auto row = batch_.Get(Table::kSaves, key);
  if (!row.ok()) return row.status();
  if (!row->has_value()) ++change_.open_saves;
  batch_.Put(Table::kSaves, key, save.SerializeAsString());
  return absl::OkStatus();
}

absl::Status UpdateBatch::CloseSave(std::string_view run, uint64_t id) {
  const std::string key = CheckpointKey(run, id);
  const auto row = batch_.Get(Table::kSaves, key);
  if (!row.ok()) return row.status();
  if (!row->has_value()) return absl::OkStatus();
  --change_.open_saves;
  batch_.Delete(Table::kSaves, key);
  return absl::OkStatus();
}

absl::Status UpdateBatch::Commit(std::string_view run, const v1::Checkpoint& published) {
  const uint64_t id = IdOf(published);
  if (absl::Status s = CloseSave(run, id); !s.ok()) return s;
  const std::string key = CheckpointKey(run, id);
  const auto existing = batch_.Get(Table::kCheckpoints, key);
  if (!existing.ok()) return existing.status();
  if (existing->has_value()) return absl::OkStatus();

  const v1::Checkpoint row = RowOf(published);
  batch_.Put(Table::kCheckpoints, key, row.SerializeAsString());
  for (const auto& [metric, value] : row.metrics()) {
    if (Ranks(value)) batch_.PutUnseen(Table::kRanking, RankingKey(run, metric, value, id), "");
  }
  if (absl::Status s = Count(run, 1, row.size()); !s.ok()) return s;

  // Collected first, so that a checkpoint that loses several names loses them at once.
  std::map<uint64_t, std::set<std::string>> losses;
  for (const v1::Placement& placement : row.placements()) {
    const absl::StatusOr<uint64_t> owner = OwnerOf(run, placement.filepath());
    if (!owner.ok()) return owner.status();
    if (*owner == id) continue;  // two policies, one path
    if (*owner != 0) losses[std::min(*owner, id)].insert(placement.filepath());
    if (*owner < id) {
      std::string value;
      AppendU64(value, id);
      batch_.Put(Table::kNames, NameKey(run, placement.filepath()), value);
    }
  }
  for (const auto& [loser, filepaths] : losses) {
    if (absl::Status s = Lose(run, loser, filepaths); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> UpdateBatch::OwnerOf(std::string_view run, std::string_view filepath) {
  const std::string key = NameKey(run, filepath);
  const auto owner = batch_.Get(Table::kNames, key);
  if (!owner.ok()) return owner.status();
  if (!owner->has_value()) return 0;
  if ((*owner)->size() != kU64Bytes) return DamagedRow(Table::kNames, key);
  return DecodeU64(**owner);
}

absl::Status UpdateBatch::Lose(std::string_view run, uint64_t id,
                               const std::set<std::string>& filepaths) {
  const std::string key = CheckpointKey(run, id);
  auto row = ReadRow<v1::Checkpoint>(batch_, Table::kCheckpoints, key);
  if (!row.ok()) return row.status();
  if (!row->has_value()) return DamagedRow(Table::kCheckpoints, key);
  v1::Checkpoint reduced = **row;
  RemovePlacements(reduced, filepaths);
  if (reduced.placements().empty()) return Condemn(run, id, **std::move(row));
  batch_.Put(Table::kCheckpoints, key, reduced.SerializeAsString());
  return absl::OkStatus();
}

absl::Status UpdateBatch::Delete(std::string_view run, uint64_t id) {
  auto row = ReadRow<v1::Checkpoint>(batch_, Table::kCheckpoints, CheckpointKey(run, id));
  if (!row.ok()) return row.status();
  if (!row->has_value()) return absl::OkStatus();
  return Condemn(run, id, **std::move(row));
}

// `checkpoint` still has the placements that it just lost: they may be on disk.
absl::Status UpdateBatch::Condemn(std::string_view run, uint64_t id, v1::Checkpoint checkpoint) {
  const std::string key = CheckpointKey(run, id);
  batch_.Delete(Table::kCheckpoints, key);
  for (const auto& [metric, value] : checkpoint.metrics()) {
    if (Ranks(value)) batch_.Delete(Table::kRanking, RankingKey(run, metric, value, id));
  }
  for (const v1::Placement& placement : checkpoint.placements()) {
    const absl::StatusOr<uint64_t> owner = OwnerOf(run, placement.filepath());
    if (!owner.ok()) return owner.status();
    if (*owner == id) batch_.Delete(Table::kNames, NameKey(run, placement.filepath()));
  }
  if (absl::Status s = Count(run, -1, -checkpoint.size()); !s.ok()) return s;
  v1::Eviction& eviction = evictions_.emplace_back();
  *eviction.mutable_checkpoint() = std::move(checkpoint);
  batch_.PutUnseen(Table::kEvictions, key, eviction.SerializeAsString());
  return absl::OkStatus();
}

absl::Status UpdateBatch::Count(std::string_view run, int64_t checkpoints, int64_t bytes) {
  const std::string key = RunKey(run, RunRow::kStats);
  const auto row = ReadRow<v1::RunStats>(batch_, Table::kRuns, key);
  if (!row.ok()) return row.status();
  v1::RunStats stats = row->value_or(v1::RunStats());
  stats.set_checkpoint_count(stats.checkpoint_count() + checkpoints);
  stats.set_checkpoint_bytes(stats.checkpoint_bytes() + bytes);
  batch_.Put(Table::kRuns, key, stats.SerializeAsString());
  change_.checkpoints += checkpoints;
  change_.checkpoint_bytes += bytes;
  return absl::OkStatus();
}

absl::Status UpdateBatch::DeleteRun(std::string_view run) {
  const ReadView view = index_.View();
  if (absl::Status s = CheckRunExists(view, run); !s.ok()) return s;
  --change_.runs;
  const std::string prefix = RunPrefix(run);
  Cursor saves = view.Scan(Table::kSaves, prefix);
  for (saves.SeekToFirst(); saves.Valid(); saves.Next()) --change_.open_saves;
  if (absl::Status s = saves.status(); !s.ok()) return s;

  Cursor checkpoints = view.Scan(Table::kCheckpoints, prefix);
  for (checkpoints.SeekToFirst(); checkpoints.Valid(); checkpoints.Next()) {
    const std::string_view key = checkpoints.key();
    auto row = ParseRow<v1::Checkpoint>(Table::kCheckpoints, key, checkpoints.value());
    if (!row.ok()) return row.status();
    --change_.checkpoints;
    change_.checkpoint_bytes -= row->size();
    v1::Eviction& eviction = evictions_.emplace_back();
    *eviction.mutable_checkpoint() = *std::move(row);
    batch_.PutUnseen(Table::kEvictions, key, eviction.SerializeAsString());
  }
  if (absl::Status s = checkpoints.status(); !s.ok()) return s;
  for (const Table table : {Table::kRuns, Table::kSaves, Table::kCheckpoints, Table::kRanking,
                            Table::kNames, Table::kEvents, Table::kHistory}) {
    batch_.DeletePrefixUnseen(table, prefix);
  }
  return absl::OkStatus();
}

}  // namespace ckpt::storage
