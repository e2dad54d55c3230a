#include "storage/rebuilt_run.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "storage/base/names.h"
#include "storage/catalog/key_encoding.h"

namespace ckpt::storage {
namespace {

using google::protobuf::util::TimeUtil;
using Checkpoints = std::map<uint64_t, v1::Checkpoint>;

uint64_t IdOf(const v1::Checkpoint& checkpoint) {
  const auto ref = ParseCheckpointName(checkpoint.name());
  return ref.ok() ? ParseCheckpointId(ref->id).value_or(0) : 0;
}

bool IsBetter(const v1::PolicyState& state, double value) {
  return state.maximize() ? value > state.best() : value < state.best();
}

void SetBest(const v1::Checkpoint& checkpoint, double value, v1::PolicyState* state) {
  state->set_best(value);
  state->set_best_checkpoint_id(std::to_string(IdOf(checkpoint)));
}

// What the policy's first save has to beat.
double InitialBest(const v1::Run& run, const v1::PolicyState& state) {
  for (const v1::CheckpointPolicy& policy : run.policies()) {
    if (policy.name() == state.policy() && policy.has_initial_value_threshold()) {
      return policy.initial_value_threshold();
    }
  }
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return state.maximize() ? -kInfinity : kInfinity;
}

// Saves on their way were committed, if there are checkpoints of them, or have failed.
void SettleOpenSaves(const Checkpoints& checkpoints, v1::PolicyState* state) {
  for (const v1::PolicyState::OpenSave& save : state->open_saves()) {
    const auto found = checkpoints.find(ParseCheckpointId(save.checkpoint_id()).value_or(0));
    if (found == checkpoints.end() || !save.has_value()) continue;
    if (IsBetter(*state, save.value())) SetBest(found->second, save.value(), state);
  }
  state->clear_open_saves();
}

// As when the best is deleted: the policy's best among those that exist, or its beginning.
void SettleBest(const v1::Run& run, const Checkpoints& checkpoints, v1::PolicyState* state) {
  if (state->best_checkpoint_id().empty() ||
      checkpoints.contains(ParseCheckpointId(state->best_checkpoint_id()).value_or(0))) {
    return;
  }
  state->set_best(InitialBest(run, *state));
  state->clear_best_checkpoint_id();
  for (const auto& [id, checkpoint] : checkpoints) {
    const bool chosen =
        std::any_of(checkpoint.placements().begin(), checkpoint.placements().end(),
                    [&](const auto& placement) { return placement.policy() == state->policy(); });
    const auto value = checkpoint.metrics().find(state->monitor());
    if (!chosen || value == checkpoint.metrics().end() || std::isnan(value->second)) continue;
    if (state->best_checkpoint_id().empty() || IsBetter(*state, value->second)) {
      SetBest(checkpoint, value->second, state);
    }
  }
}

// Puts a state in the place of the one of its policy.
void PutState(const v1::PolicyState& state, v1::RunProgress* progress) {
  auto* states = progress->mutable_policy_states();
  const auto same = std::find_if(states->begin(), states->end(), [&](const auto& other) {
    return other.policy() == state.policy();
  });
  *(same != states->end() ? &*same : states->Add()) = state;
}

// Whether the row was written at or after the newest decision there is a checkpoint of.
bool IsCurrent(const v1::RunProgress& progress, const Checkpoints& checkpoints) {
  return checkpoints.empty() || progress.last_checkpoint_id() >= checkpoints.rbegin()->first;
}

void RebuildPolicyStates(const v1::Run& run, const Checkpoints& checkpoints, bool is_current,
                         v1::RunProgress* progress) {
  // The newest checkpoint that has a state of the policy counts.
  for (const auto& [id, checkpoint] : checkpoints) {
    if (is_current) break;
    for (const v1::PolicyState& state : checkpoint.policy_states()) PutState(state, progress);
  }
  for (v1::PolicyState& state : *progress->mutable_policy_states()) {
    SettleOpenSaves(checkpoints, &state);
    // A row that is current knows of a best that was overwritten.
    if (!is_current) SettleBest(run, checkpoints, &state);
  }
}

// The newest event and the newest checkpoint move the position on, never back.
void MoveOn(const EventSummary& events, const Checkpoints& checkpoints, v1::RunProgress* progress) {
  const auto seq_of = [&](int rank) -> uint64_t {
    return rank < progress->durable_seqs_size() ? progress->durable_seqs(rank) : 0;
  };
  const auto set_seq = [&](int rank, uint64_t seq) {
    while (progress->durable_seqs_size() <= rank) progress->add_durable_seqs(0);
    progress->set_durable_seqs(rank, std::max(seq, progress->durable_seqs(rank)));
  };
  for (const auto& [id, checkpoint] : checkpoints) {
    if (checkpoint.seq() <= seq_of(0)) continue;
    set_seq(0, checkpoint.seq());
    progress->set_epoch(checkpoint.epoch());
    progress->set_ended(false);
    progress->set_update_time_unix_nanos(
        TimeUtil::TimestampToNanoseconds(checkpoint.create_time()));
  }
  for (const auto& [rank, record] : events.newest) {
    const v1::Event& event = record.event();
    if (event.seq() <= seq_of(rank)) continue;
    set_seq(rank, event.seq());
    if (rank != 0) continue;
    progress->set_ended(event.kind() == v1::Event::KIND_TRAIN_END);
    if (!progress->ended()) progress->set_epoch(event.epoch());
  }
}

}  // namespace

void EventSummary::Add(const EventRow& event) {
  v1::EventRecord& record = newest[event.rank];
  if (event.record.event().seq() > record.event().seq()) record = event.record;
  for (const v1::Checkpoint& save : event.record.decision().saves()) {
    newest_save = std::max(newest_save, IdOf(save));
  }
}

v1::Run RebuildRunRow(const std::string& run, const std::optional<v1::Run>& salvaged,
                      const std::map<uint64_t, v1::Manifest>& manifests) {
  if (salvaged.has_value()) return *salvaged;
  v1::Run row;
  for (const auto& [id, manifest] : manifests) {
    if (manifest.has_run()) row = manifest.run();
  }
  row.set_name(RunName(run));
  if (!row.has_create_time() && !manifests.empty()) {
    *row.mutable_create_time() = manifests.begin()->second.checkpoint().create_time();
  }
  return row;
}

v1::RunProgress RebuildProgress(const v1::Run& run, const std::optional<v1::RunProgress>& salvaged,
                                const std::map<uint64_t, v1::Checkpoint>& checkpoints,
                                const EventSummary& events) {
  v1::RunProgress progress = salvaged.value_or(v1::RunProgress());
  const bool is_current = salvaged.has_value() && IsCurrent(progress, checkpoints);
  RebuildPolicyStates(run, checkpoints, is_current, &progress);
  MoveOn(events, checkpoints, &progress);
  uint64_t newest_id = std::max(progress.last_checkpoint_id(), events.newest_save);
  uint64_t newest_epoch = progress.writer_epoch();
  for (const auto& [id, checkpoint] : checkpoints) {
    newest_id = std::max(newest_id, id);
    newest_epoch = std::max(newest_epoch, checkpoint.writer_epoch());
    for (const v1::PolicyState& state : checkpoint.policy_states()) {
      for (const v1::PolicyState::OpenSave& save : state.open_saves()) {
        newest_id = std::max(newest_id, ParseCheckpointId(save.checkpoint_id()).value_or(0));
      }
    }
  }
  progress.set_last_checkpoint_id(newest_id + kRebuildGap);
  // What has been salvaged may lack the newest failures.
  progress.clear_failed_saves();
  progress.clear_ends_known_from();
  progress.set_writer_epoch(newest_epoch + kRebuildGap);
  return progress;
}

}  // namespace ckpt::storage
