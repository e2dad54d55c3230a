#include "tests/unit/storage/testing/trainer.h"

#include <algorithm>
#include <utility>

#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "tests/unit/storage/testing/saves.h"

namespace ckpt::storage {
namespace {

constexpr uint32_t kMetricId = 1;
constexpr char kMetric[] = "val_loss";
constexpr char kPolicy[] = "best";

uint64_t IdOf(const v1::Checkpoint& checkpoint) {
  return std::stoull(ParseCheckpointName(checkpoint.name())->id);
}

v1::Checkpoint SaveOfPlan(const std::string& run, const SavePlan& plan) {
  v1::Checkpoint save = MakeSave(run, static_cast<int>(plan.id), plan.filepaths, plan.projection);
  (*save.mutable_metrics())[kMetric] = plan.value;
  for (v1::Placement& placement : *save.mutable_placements()) placement.set_value(plan.value);
  return save;
}

}  // namespace

absl::StatusOr<RunUpdate> Trainer::NextUpdate() {
  const auto snapshot = store_.LoadRun(run_);
  if (!snapshot.ok()) return snapshot.status();
  RunUpdate update;
  update.run = run_;
  update.progress = snapshot->progress;
  if (update.progress->durable_seqs().empty()) update.progress->add_durable_seqs(0);
  return update;
}

absl::Status Trainer::Apply(const RunUpdate& update, ApplyResult* result) {
  auto applied = store_.Apply({&update, 1});
  if (applied.ok() && result != nullptr) *result = *std::move(applied);
  return applied.status();
}

void Trainer::AddEvent(RunUpdate& update, v1::EventRecord record) {
  const uint64_t seq = update.progress->durable_seqs(0) + 1;
  update.progress->set_durable_seqs(0, seq);
  record.mutable_event()->set_seq(seq);
  record.mutable_event()->set_kind(v1::Event::KIND_EPOCH_END);
  Note([&](ExpectedRun& run) { run.events[seq] = {Word::kAsked, record}; });
  update.events.Add({.rank = 0, .record = std::move(record)});
}

absl::Status Trainer::CreateRun() {
  RunUpdate update;
  update.run = run_;
  update.run_row.emplace().set_name(RunName(run_));
  update.new_metrics.emplace_back().set_id(kMetricId);
  update.new_metrics.back().set_name(kMetric);
  Note([](ExpectedRun& run) {
    run = ExpectedRun();
    run.created = Word::kAsked;
  });
  absl::Status status = Apply(update);
  if (status.ok()) Note([](ExpectedRun& run) { run.created = Word::kGiven; });
  return status;
}

absl::Status Trainer::DeleteRun() {
  Note([](ExpectedRun& run) { run.deleted = Word::kAsked; });
  const auto deleted = store_.DeleteRun(run_);
  if (!deleted.ok()) return deleted.status();
  Note([](ExpectedRun& run) { run.deleted = Word::kGiven; });
  if (absl::Status status = Evict(*deleted); !status.ok()) return status;
  return store_.RemoveRunFolder(run_);
}

absl::Status Trainer::Record(int count) {
  auto update = NextUpdate();
  if (!update.ok()) return update.status();
  for (int i = 0; i < count; ++i) {
    v1::EventRecord record;
    record.mutable_event()->set_batch(i);
    record.mutable_event()->add_metric_ids(kMetricId);
    record.mutable_event()->add_values(1.0 / (i + 1));
    AddEvent(*update, std::move(record));
  }
  absl::Status status = Apply(*update);
  if (!status.ok()) return status;
  Note([&](ExpectedRun& run) {
    for (const RecordedEvents::Part& part : update->events.parts()) {
      for (size_t i = 0; i < part.events.size(); ++i) {
        run.events[part.events[i].seq].first = Word::kGiven;
      }
    }
  });
  return status;
}

absl::Status Trainer::Decide(const SavePlan& plan) {
  auto update = NextUpdate();
  if (!update.ok()) return update.status();
  const v1::Checkpoint save = SaveOfPlan(run_, plan);
  update->progress->set_last_checkpoint_id(plan.id);
  update->opened_saves = {save};
  v1::EventRecord record;
  record.mutable_event()->set_wants_decision(true);
  record.mutable_event()->add_metric_ids(kMetricId);
  record.mutable_event()->add_values(plan.value);
  *record.mutable_decision()->add_saves() = save;
  AddEvent(*update, std::move(record));
  Note([&](ExpectedRun& run) {
    run.saves[plan.id] = {.save = save, .parts = plan.parts, .decided = Word::kAsked};
  });
  absl::Status status = Apply(*update);
  if (!status.ok()) return status;
  Note([&](ExpectedRun& run) {
    run.saves[plan.id].decided = Word::kGiven;
    run.events[update->progress->durable_seqs(0)].first = Word::kGiven;
  });
  return status;
}

absl::Status Trainer::Upload(const PartTarget& target, const std::string& bytes) {
  auto writer = store_.OpenPart(target);
  if (!writer.ok()) return writer.status();
  if ((*writer)->finished().has_value()) return absl::OkStatus();
  const auto from = static_cast<size_t>((*writer)->offset());
  absl::Status sent = AppendAll(**writer, std::string_view(bytes).substr(from), 1024);
  if (!sent.ok()) return sent;
  return (*writer)->Finish(static_cast<int64_t>(bytes.size()), DigestOf(bytes)).status();
}

absl::Status Trainer::Receive(uint64_t id) {
  const ExpectedSave save = SaveOf(id);
  for (const auto& [part, bytes] : save.parts) {
    absl::Status received = Upload({.run = run_,
                                    .save = std::to_string(id),
                                    .stage_id = "",
                                    .part = part,
                                    .part_count = static_cast<int>(save.parts.size()),
                                    .size_hint = static_cast<int64_t>(bytes.size())},
                                   bytes);
    if (!received.ok()) return received;
  }
  Note([&](ExpectedRun& run) { run.saves[id].received = Word::kGiven; });
  return absl::OkStatus();
}

absl::Status Trainer::Publish(uint64_t id, v1::Checkpoint* published) {
  auto result = store_.Publish(SaveOf(id).save);
  if (result.ok()) *published = *std::move(result);
  return result.status();
}

absl::Status Trainer::Commit(const v1::Checkpoint& published, ApplyResult* result) {
  const uint64_t id = IdOf(published);
  auto update = NextUpdate();
  if (!update.ok()) return update.status();
  const double value = published.metrics().at(kMetric);
  v1::RunProgress& progress = *update->progress;
  if (progress.policy_states().empty()) progress.add_policy_states()->set_policy(kPolicy);
  v1::PolicyState& state = *progress.mutable_policy_states(0);
  if (state.best_checkpoint_id().empty() || value < state.best()) {
    state.set_best(value);
    state.set_best_checkpoint_id(std::to_string(id));
  }
  update->committed = {published};
  Note([&](ExpectedRun& run) {
    run.saves[id].committed = std::max(run.saves[id].committed, Word::kAsked);
  });
  absl::Status status = Apply(*update, result);
  if (status.ok()) Note([&](ExpectedRun& run) { run.saves[id].committed = Word::kGiven; });
  return status;
}

absl::Status Trainer::Project(const v1::Checkpoint& published) {
  const auto projected = store_.Project(published);
  if (!projected.ok()) return projected.status();
  for (const v1::Placement& placement : projected->placements()) {
    if (!placement.projection_error().empty()) {
      return StorageFailed(placement.projection_error());
    }
  }
  Note([&](ExpectedRun& run) { run.saves[IdOf(published)].named = Word::kGiven; });
  return absl::OkStatus();
}

absl::Status Trainer::Evict(const ApplyResult& result) {
  for (const v1::Eviction& eviction : result.evictions) {
    if (absl::Status status = store_.Evict(eviction); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Trainer::Finish(uint64_t id) {
  v1::Checkpoint published;
  if (absl::Status status = Publish(id, &published); !status.ok()) {
    Abort(id).IgnoreError();
    return status;
  }
  ApplyResult result;
  if (absl::Status status = Commit(published, &result); !status.ok()) return status;
  if (absl::Status status = Project(published); !status.ok()) return status;
  return Evict(result);
}

absl::Status Trainer::Save(const SavePlan& plan) {
  if (absl::Status status = Decide(plan); !status.ok()) return status;
  if (absl::Status status = Receive(plan.id); !status.ok()) return status;
  return Finish(plan.id);
}

absl::Status Trainer::FinishOpenSaves() {
  const auto snapshot = store_.LoadRun(run_);
  if (!snapshot.ok()) return snapshot.status();
  for (const v1::Checkpoint& save : snapshot->open_saves) {
    // Bytes that were adopted from a stage, or have come whole, need not come again.
    if (absl::Status status = Receive(IdOf(save)); !status.ok()) return status;
    if (absl::Status status = Finish(IdOf(save)); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Trainer::Abort(uint64_t id) {
  auto update = NextUpdate();
  if (!update.ok()) return update.status();
  update->closed_saves = {std::to_string(id)};
  Note([&](ExpectedRun& run) { run.saves[id].withdrawn = Word::kAsked; });
  if (absl::Status status = Apply(*update); !status.ok()) return status;
  Note([&](ExpectedRun& run) { run.saves[id].withdrawn = Word::kGiven; });
  return store_.Discard(run_, std::to_string(id), "");
}

absl::Status Trainer::Delete(uint64_t id) {
  auto update = NextUpdate();
  if (!update.ok()) return update.status();
  update->deleted = {std::to_string(id)};
  Note([&](ExpectedRun& run) { run.saves[id].deleted = Word::kAsked; });
  ApplyResult result;
  if (absl::Status status = Apply(*update, &result); !status.ok()) return status;
  Note([&](ExpectedRun& run) { run.saves[id].deleted = Word::kGiven; });
  return Evict(result);
}

absl::Status Trainer::Stage(const std::string& stage,
                            const std::map<std::string, std::string>& parts) {
  Note([&](ExpectedRun& run) { run.stages[stage] = parts; });
  for (const auto& [part, bytes] : parts) {
    absl::Status received = Upload({.run = run_,
                                    .save = "",
                                    .stage_id = stage,
                                    .part = part,
                                    .part_count = static_cast<int>(parts.size())},
                                   bytes);
    if (!received.ok()) return received;
  }
  return absl::OkStatus();
}

absl::Status Trainer::DropStage(const std::string& stage) {
  return store_.Discard(run_, "", stage);
}

absl::Status Trainer::Adopt(const std::string& stage, uint64_t id) {
  absl::Status status = store_.AdoptStage(run_, stage, std::to_string(id));
  if (status.ok()) Note([&](ExpectedRun& run) { run.saves[id].received = Word::kGiven; });
  return status;
}

void Trainer::Acknowledge(uint64_t id) {
  Note([&](ExpectedRun& run) { run.saves[id].committed = Word::kGiven; });
}

v1::Checkpoint Trainer::Unpublished(uint64_t id) const {
  const ExpectedSave save = SaveOf(id);
  v1::Checkpoint checkpoint = save.save;
  checkpoint.set_state(v1::Checkpoint::STATE_COMMITTED);
  for (const auto& [name, bytes] : save.parts) {
    v1::Part& part = *checkpoint.add_parts();
    part.set_part(name);
    part.set_size(static_cast<int64_t>(bytes.size()));
    part.set_xxh3_128(DigestOf(bytes));
    checkpoint.set_size(checkpoint.size() + part.size());
  }
  return checkpoint;
}

absl::Status Trainer::RemoveFiles(uint64_t id) {
  const auto checkpoint = store_.GetCheckpoint(run_, std::to_string(id));
  if (!checkpoint.ok()) return checkpoint.status();
  v1::Eviction eviction;
  *eviction.mutable_checkpoint() = *checkpoint;
  return store_.Evict(eviction);
}

}  // namespace ckpt::storage
