#include "server/run/run_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "google/protobuf/util/time_util.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "storage/catalog/key_encoding.h"

namespace ckpt::server {
namespace {

using google::protobuf::util::TimeUtil;

constexpr int kMaxFailedSavesKnown = 256;

std::vector<v1::PolicyState> StatesOf(const v1::RunProgress& progress) {
  return {progress.policy_states().begin(), progress.policy_states().end()};
}

std::vector<v1::CheckpointPolicy> SpecsOf(const v1::Run& run) {
  return {run.policies().begin(), run.policies().end()};
}

}  // namespace

RunState::RunState(storage::RunSnapshot snapshot)
    : id_(*ParseRunName(snapshot.run.name())),
      run_(std::move(snapshot.run)),
      progress_(std::move(snapshot.progress)) {
  if (progress_.durable_seqs_size() > 0) last_seq_ = progress_.durable_seqs(0);
  trainer_ended_ = progress_.ended();
  if (progress_.ends_known_from() == 0) {
    progress_.set_ends_known_from(progress_.last_checkpoint_id() + 1);
  }
  // The stored policies passed these checks when they came; should a later version be stricter, the
  // run is still readable and the next Hello says what is wrong.
  if (auto set = policy::PolicySet::Create(SpecsOf(run_)); set.ok()) {
    policies_ = *std::move(set);
    const auto previous = StatesOf(progress_);
    states_ = policies_.CarryOver(previous, /*fresh=*/false);
  }
  for (v1::MetricName& metric : snapshot.metrics) {
    if (metrics_.size() <= metric.id()) metrics_.resize(metric.id() + 1);
    metric_ids_[metric.name()] = metric.id();
    metrics_[metric.id()] = std::move(*metric.mutable_name());
  }
  for (v1::Checkpoint& save : snapshot.open_saves) {
    std::string id = ParseCheckpointName(save.name())->id;
    saves_[std::move(id)] = {std::move(save), false};
  }
}

v1::Run RunState::Describe() const {
  v1::Run run = run_;
  for (const v1::PolicyState& state : states_) *run.add_policy_states() = state;
  run.set_writer_epoch(progress_.writer_epoch());
  run.set_durable_seq(last_seq_);
  run.set_epoch(progress_.epoch());
  if (progress_.update_time_unix_nanos() != 0) {
    *run.mutable_update_time() =
        TimeUtil::NanosecondsToTimestamp(progress_.update_time_unix_nanos());
  }
  run.set_state(progress_.ended() ? v1::Run::STATE_ENDED : v1::Run::STATE_DISCONNECTED);
  return run;
}

storage::RunUpdate RunState::NewUpdate() const {
  storage::RunUpdate update;
  update.run = id_;
  return update;
}

v1::RunProgress RunState::Progress() const {
  v1::RunProgress progress = progress_;
  progress.clear_durable_seqs();
  progress.add_durable_seqs(last_seq_);
  for (const v1::PolicyState& state : states_) {
    auto* stored = progress.mutable_policy_states();
    const auto same = std::find_if(stored->begin(), stored->end(), [&](const auto& other) {
      return other.policy() == state.policy();
    });
    *(same != stored->end() ? &*same : stored->Add()) = state;
  }
  return progress;
}

// ---- Trainers.

absl::StatusOr<RunState::Attached> RunState::Attach(
    const v1::Hello& hello, std::vector<v1::CheckpointPolicy> policies,
    const std::optional<v1::Checkpoint>& resumed_from, int64_t now_unix_nanos) {
  Attached attached{NewUpdate()};
  attached.new_writer = hello.writer_epoch() == 0;
  if (attached.new_writer && hello.start() == v1::Hello::START_CREATE && exists()) {
    return RunExists(id_);
  }
  if (!attached.new_writer && hello.writer_epoch() < writer_epoch()) {
    return WriterFenced(id_, hello.rank(), hello.writer_epoch(), writer_epoch());
  }
  if (!attached.new_writer && hello.writer_epoch() > writer_epoch()) {
    return FieldInvalid(
        "writer_epoch", std::to_string(hello.writer_epoch()),
        fmt::format("run '{}' has seen only {} trainers here; the data folder is not "
                    "the one this trainer began with",
                    id_, writer_epoch()));
  }
  if (absl::Status status = AdoptPolicies(std::move(policies), hello); !status.ok()) return status;

  if (!exists()) {
    *run_.mutable_create_time() = TimeUtil::NanosecondsToTimestamp(now_unix_nanos);
  }
  for (const auto& [key, value] : hello.labels()) (*run_.mutable_labels())[key] = value;
  stream_metrics_.clear();
  newest_ids_ = {};
  newest_mapped_ = {};
  answered_seq_ = hello.last_decided_seq();
  if (attached.new_writer) {
    answered_seq_ = 0;
    trainer_ended_ = false;
    progress_.set_writer_epoch(writer_epoch() + 1);
    FailOpenSaves(attached);
    if (resumed_from.has_value()) policies_.ResumeCounters(*resumed_from, states_);
  }
  attached.update.run_row = run_;
  attached.update.progress = Progress();
  return attached;
}

void RunState::FailOpenSaves(Attached& attached) {
  for (const std::string& id : OpenSaveIds()) {
    if (Publishing(id) || Persisting(id)) continue;
    CloseFailed(id, attached.update);
    attached.failed_saves.push_back(id);
  }
}

absl::Status RunState::AdoptPolicies(std::vector<v1::CheckpointPolicy> policies,
                                     const v1::Hello& hello) {
  const bool fresh = hello.writer_epoch() == 0 && hello.start() == v1::Hello::START_FRESH;
  if (policies.empty()) policies = SpecsOf(run_);
  auto set = policy::PolicySet::Create(policies);
  if (!set.ok()) return set.status();
  for (const v1::CheckpointPolicy& policy : policies) {
    if (policy.options().placement() == v1::StorageOptions::PLACEMENT_MEMORY &&
        !hello.holds_snapshots()) {
      return SharedMemoryRequired(fmt::format("what policy '{}' chooses", policy.name()));
    }
  }
  progress_ = Progress();  // so that states of policies that leave are kept, and may come back
  const std::vector<v1::PolicyState> previous = StatesOf(progress_);
  states_ = set->CarryOver(previous, fresh);
  policies_ = *std::move(set);
  run_.mutable_policies()->Assign(policies.begin(), policies.end());
  return absl::OkStatus();
}

v1::Welcome RunState::MakeWelcome() const {
  v1::Welcome welcome;
  *welcome.mutable_run() = Describe();
  welcome.mutable_run()->set_state(v1::Run::STATE_RUNNING);
  welcome.set_writer_epoch(writer_epoch());
  welcome.set_durable_seq(last_seq_);
  for (const auto& [id, save] : saves_) {
    // A snapshot that is being persisted keeps the slots of its own trainer.
    const bool of_another = save.checkpoint.writer_epoch() != writer_epoch();
    if (save.publishing || (save.persisting && of_another)) continue;
    *welcome.add_open_saves() = save.checkpoint;
  }
  for (const policy::Policy& policy : policies_.policies()) {
    v1::PolicyWarnings* warnings = welcome.add_warnings();
    warnings->set_policy(policy.spec().name());
    for (const std::string& warning : policy.warnings()) warnings->add_warnings(warning);
  }
  welcome.set_quiet_batches(policies_.QuietBatches(states_));
  return welcome;
}

// ---- Saves.

const v1::Checkpoint* RunState::OpenSave(std::string_view id) const {
  const auto found = saves_.find(id);
  return found == saves_.end() ? nullptr : &found->second.checkpoint;
}

std::vector<std::string> RunState::OpenSaveIds() const {
  std::vector<std::string> ids;
  for (const auto& [id, save] : saves_) ids.push_back(id);
  return ids;
}

const v1::Checkpoint* RunState::OpenOnDemand() const {
  for (const auto& [id, save] : saves_) {
    if (save.checkpoint.seq() == 0 && !save.publishing) return &save.checkpoint;
  }
  return nullptr;
}

void RunState::SetPublishing(std::string_view id, bool publishing) {
  if (const auto found = saves_.find(id); found != saves_.end()) {
    found->second.publishing = publishing;
  }
}

void RunState::SetPersisting(std::string_view id) {
  if (const auto found = saves_.find(id); found != saves_.end()) found->second.persisting = true;
}

bool RunState::Persisting(std::string_view id) const {
  const auto found = saves_.find(id);
  return found != saves_.end() && found->second.persisting;
}

const v1::Checkpoint* RunState::OpenPersisting() const {
  const v1::Checkpoint* newest = nullptr;
  for (const auto& [id, save] : saves_) {
    const bool newer = newest == nullptr || save.checkpoint.seq() > newest->seq();
    if (save.persisting && newer) newest = &save.checkpoint;
  }
  return newest;
}

bool RunState::Publishing(std::string_view id) const {
  const auto found = saves_.find(id);
  return found != saves_.end() && found->second.publishing;
}

storage::RunUpdate RunState::Commit(const v1::Checkpoint& published) {
  const std::string id = ParseCheckpointName(published.name())->id;
  policies_.Committed(id, states_);
  saves_.erase(id);
  storage::RunUpdate update = NewUpdate();
  update.committed.push_back(published);
  update.progress = Progress();
  return update;
}

storage::RunUpdate RunState::Fail(std::string_view id) {
  storage::RunUpdate update = NewUpdate();
  CloseFailed(std::string(id), update);
  update.progress = Progress();
  return update;
}

void RunState::CloseFailed(const std::string& id, storage::RunUpdate& update) {
  policies_.Failed(id, states_);
  saves_.erase(id);
  auto& failed = *progress_.mutable_failed_saves();
  failed.Add(*storage::ParseCheckpointId(id));
  if (failed.size() > kMaxFailedSavesKnown) {
    progress_.set_ends_known_from(std::max(progress_.ends_known_from(), failed[0] + 1));
    failed.erase(failed.begin());
  }
  update.closed_saves.push_back(id);
}

bool RunState::WasCommitted(std::string_view id) const {
  const std::optional<uint64_t> number = storage::ParseCheckpointId(id);
  const auto& failed = progress_.failed_saves();
  return number >= progress_.ends_known_from() && number <= progress_.last_checkpoint_id() &&
         OpenSave(id) == nullptr && std::find(failed.begin(), failed.end(), number) == failed.end();
}

std::vector<const policy::Policy*> RunState::PoliciesWithBest(std::string_view id) const {
  std::vector<const policy::Policy*> found;
  for (size_t i = 0; i < states_.size(); ++i) {
    if (states_[i].best_checkpoint_id() == id) found.push_back(&policies_.policies()[i]);
  }
  return found;
}

void RunState::MoveBest(std::string_view id,
                        const std::map<std::string, std::optional<v1::Checkpoint>>& next_best) {
  for (size_t i = 0; i < states_.size(); ++i) {
    if (states_[i].best_checkpoint_id() != id) continue;
    const policy::Policy& policy = policies_.policies()[i];
    states_[i].set_best(policy.InitialState().best());
    states_[i].clear_best_checkpoint_id();
    const auto next = next_best.find(policy.spec().name());
    if (next == next_best.end() || !next->second.has_value()) continue;
    const auto value = next->second->metrics().find(policy.monitor());
    if (value == next->second->metrics().end() || std::isnan(value->second)) continue;
    states_[i].set_best(value->second);
    states_[i].set_best_checkpoint_id(ParseCheckpointName(next->second->name())->id);
  }
}

storage::RunUpdate RunState::Delete(
    std::string_view id, const std::map<std::string, std::optional<v1::Checkpoint>>& next_best) {
  MoveBest(id, next_best);
  storage::RunUpdate update = NewUpdate();
  update.deleted.emplace_back(id);
  update.progress = Progress();
  return update;
}

storage::RunUpdate RunState::PassOver(
    std::string_view id, const std::map<std::string, std::optional<v1::Checkpoint>>& next_best) {
  MoveBest(id, next_best);
  storage::RunUpdate update = NewUpdate();
  update.progress = Progress();
  return update;
}

}  // namespace ckpt::server
