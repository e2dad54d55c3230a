// RunState's intake of events: checks, metric names, decisions.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "google/protobuf/util/time_util.h"
#include "server/policy/on_demand.h"
#include "server/run/limits.h"
#include "server/run/run_state.h"
#include "server/run/snapshots.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::server {
namespace {

using google::protobuf::util::TimeUtil;

bool HasMetrics(v1::Event::Kind kind) {
  return kind == v1::Event::KIND_EPOCH_END || kind == v1::Event::KIND_BATCH_END;
}

// Which save staged bytes are for: one on disk, rather than in memory. Empty if there is none.
std::string SaveOfStage(const v1::Decision& decision) {
  const auto& saves = decision.saves();
  auto save = std::find_if_not(saves.begin(), saves.end(), IsSnapshot);
  if (save == saves.end()) save = saves.begin();
  return save == saves.end() ? "" : ParseCheckpointName(save->name())->id;
}

v1::EventRecord RecordOf(const v1::Event& event, const v1::Decision& decision) {
  v1::EventRecord record;
  *record.mutable_event() = event;
  if (decision.policies().empty()) return record;
  *record.mutable_decision() = decision;
  for (v1::Checkpoint& save : *record.mutable_decision()->mutable_saves()) {
    save.clear_policy_states();
  }
  return record;
}

// Room for the events of `batch` from `begin` on.
void ReserveFor(const v1::EventBatch& batch, int begin, storage::RecordedEvents& events) {
  size_t values = 0;
  for (int i = begin; i < batch.events_size(); ++i) {
    values += static_cast<size_t>(batch.events(i).values_size());
  }
  events.Reserve(0, static_cast<size_t>(batch.events_size() - begin), values);
}

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

}  // namespace

RunState::Taken RunState::Take(Intake& intake, std::optional<policy::NameCheck> name_check,
                               int64_t now_unix_nanos) {
  Taken taken;
  taken.update = NewUpdate();
  if (!std::exchange(intake.begun, true)) taken.status = Begin(*intake.batch, taken);
  if (!taken.status.ok()) return taken;
  const int count = intake.batch->events_size();
  ReserveFor(*intake.batch, intake.next, taken.update.events);
  for (; taken.status.ok() && intake.next < count; ++intake.next) {
    v1::Event& event = *intake.batch->mutable_events(intake.next);
    if (event.seq() <= last_seq_ && event.seq() != 0) {
      intake.mapped = false;
      continue;
    }
    if (!std::exchange(intake.mapped, true)) taken.status = Admit(event);
    if (!taken.status.ok()) break;
    if (!TakeQuiet(event, taken)) {
      std::optional<v1::Decision> decision = Decide(event, name_check);
      taken.name_check_wanted = !decision.has_value();
      if (taken.name_check_wanted) break;
      TakeDecided(event, *std::move(decision), now_unix_nanos, taken);
    }
    intake.mapped = false;
  }
  if (!taken.update.events.empty()) {
    progress_.set_update_time_unix_nanos(now_unix_nanos);
    taken.update.progress = Progress();
  }
  return taken;
}

absl::Status RunState::Begin(const v1::EventBatch& batch, Taken& taken) {
  if (batch.events_size() > kMaxEventsPerBatch) {
    return LimitExceeded("events in one batch", kMaxEventsPerBatch,
                         static_cast<uint64_t>(batch.events_size()));
  }
  for (const v1::MetricName& metric : batch.metrics()) {
    if (absl::Status status = Intern(metric, taken.update.new_metrics); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status RunState::Intern(const v1::MetricName& metric, std::vector<v1::MetricName>& added) {
  const std::string& name = metric.name();
  if (name.empty()) return FieldInvalid("metric name", name, "it must not be empty");
  if (name.size() > kMaxMetricNameBytes) {
    return LimitExceeded("length of a metric name", kMaxMetricNameBytes, name.size());
  }
  if (std::any_of(name.begin(), name.end(), IsControl)) {
    return FieldInvalid("metric name", fmt::format("{} bytes", name.size()),
                        "it must not hold control characters");
  }
  if (metric.id() > 65535) {
    return LimitExceeded("metric id", 65535, metric.id());
  }
  const auto known = metric_ids_.find(name);
  uint32_t id = 0;
  if (known != metric_ids_.end()) {
    id = known->second;
  } else {
    if (metrics_.size() >= kMaxMetricsPerRun) {
      return LimitExceeded("metric names of one run", kMaxMetricsPerRun, metrics_.size() + 1);
    }
    id = static_cast<uint32_t>(metrics_.size());
    metrics_.push_back(name);
    metric_ids_[name] = id;
    v1::MetricName& stored = added.emplace_back(metric);
    stored.set_id(id);
  }
  const auto [bound, inserted] = stream_metrics_.try_emplace(metric.id(), id);
  if (!inserted && bound->second != id) {
    return FieldInvalid("metric id", std::to_string(metric.id()),
                        fmt::format("it stands for '{}' already", metrics_[bound->second]));
  }
  return absl::OkStatus();
}

absl::Status RunState::CheckEvent(const v1::Event& event) const {
  const uint64_t seq = event.seq();
  if (seq != last_seq_ + 1) return SequenceGap(last_seq_ + 1, seq);
  if (event.kind() == v1::Event::KIND_UNSPECIFIED || !v1::Event::Kind_IsValid(event.kind())) {
    return EventInvalid(seq, fmt::format("kind {} is unknown", static_cast<int>(event.kind())));
  }
  for (const auto& [field, value] :
       {std::pair{"epoch", event.epoch()}, std::pair{"batch", event.batch()}}) {
    if (value < 0 || value > kMaxIndex) {
      return EventInvalid(seq, fmt::format("{} is {}; it must be 0 to 2^53", field, value));
    }
  }
  if (event.metric_ids_size() != event.values_size() ||
      event.integer_metric_ids_size() != event.integers_size()) {
    return EventInvalid(seq, "metric ids and values differ in number");
  }
  const int metrics = event.metric_ids_size() + event.integer_metric_ids_size();
  if (metrics > kMaxMetricsPerEvent) {
    return LimitExceeded("metrics in one event", kMaxMetricsPerEvent,
                         static_cast<uint64_t>(metrics));
  }
  if (metrics > 0 && !HasMetrics(event.kind())) {
    return EventInvalid(seq, "only ends of batches and epochs carry metrics");
  }
  if (!event.staged_upload().empty()) return CheckStageId(event.staged_upload());
  return absl::OkStatus();
}

// Replaces the stream's ids by the run's.
absl::Status RunState::MapMetrics(v1::Event& event) {
  if (MapAsNewest(event)) return absl::OkStatus();
  MetricIds stream_ids(event);
  metric_uses_.resize(metrics_.size());
  ++mapped_events_;
  const auto map = [&](google::protobuf::RepeatedField<uint32_t>& ids) {
    for (uint32_t& id : ids) {
      const auto bound = stream_metrics_.find(id);
      if (bound == stream_metrics_.end()) {
        return EventInvalid(event.seq(), fmt::format("metric id {} was given no name", id));
      }
      id = bound->second;
      if (std::exchange(metric_uses_[id], mapped_events_) == mapped_events_) {
        return EventInvalid(event.seq(), fmt::format("metric '{}' is given twice", metrics_[id]));
      }
    }
    return absl::OkStatus();
  };
  if (absl::Status status = map(*event.mutable_metric_ids()); !status.ok()) return status;
  if (absl::Status status = map(*event.mutable_integer_metric_ids()); !status.ok()) return status;
  newest_ids_ = std::move(stream_ids);
  newest_mapped_ = MetricIds(event);
  return absl::OkStatus();
}

bool RunState::MapAsNewest(v1::Event& event) const {
  if (!std::ranges::equal(event.metric_ids(), newest_ids_.metrics) ||
      !std::ranges::equal(event.integer_metric_ids(), newest_ids_.integer_metrics)) {
    return false;
  }
  std::ranges::copy(newest_mapped_.metrics, event.mutable_metric_ids()->begin());
  std::ranges::copy(newest_mapped_.integer_metrics, event.mutable_integer_metric_ids()->begin());
  return true;
}

policy::Logs RunState::LogsOf(const v1::Event& event) const {
  policy::Logs logs;
  for (int i = 0; i < event.metric_ids_size(); ++i) {
    logs[metrics_[event.metric_ids(i)]] = {event.values(i)};
  }
  for (int i = 0; i < event.integer_metric_ids_size(); ++i) {
    const int64_t integer = event.integers(i);
    logs[metrics_[event.integer_metric_ids(i)]] = {static_cast<double>(integer), true, integer};
  }
  return logs;
}

// Its metrics get the run's ids.
absl::Status RunState::Admit(v1::Event& event) {
  if (absl::Status status = CheckEvent(event); !status.ok()) return status;
  return MapMetrics(event);
}

std::optional<v1::Decision> RunState::Decide(const v1::Event& event,
                                             std::optional<policy::NameCheck> name_check) {
  policy::Logs logs;
  const policy::EventView view{event.seq(), event.kind(), event.epoch(), event.batch(), &logs};
  const bool act = policies_.Act(view, states_);
  if (act) logs = LogsOf(event);
  uint64_t last_checkpoint_id = progress_.last_checkpoint_id();
  const auto decide = [&](policy::NameCheck check, std::vector<v1::PolicyState>& states) {
    return policies_.Decide(view, id_, event.seq() <= answered_seq_, check, states,
                            &last_checkpoint_id);
  };
  bool asked = false;
  const auto ask = [&asked](std::string_view) {
    asked = true;
    return absl::OkStatus();
  };
  v1::Decision decision;
  if (name_check.has_value() || !act) {
    decision = decide(name_check.value_or(ask), states_);
  } else {
    std::vector<v1::PolicyState> states = states_;
    decision = decide(ask, states);
    if (asked) return std::nullopt;
    states_ = std::move(states);
  }
  progress_.set_last_checkpoint_id(last_checkpoint_id);
  return decision;
}

bool RunState::TakeQuiet(const v1::Event& event, Taken& taken) {
  if (event.wants_decision() || !event.staged_upload().empty()) return false;
  const policy::EventView view{event.seq(), event.kind(), event.epoch(), event.batch(), nullptr};
  if (policies_.Act(view, states_)) return false;
  policies_.Pass(view, states_);
  Advance(event);
  taken.update.events.Add(0, event);
  return true;
}

void RunState::Advance(const v1::Event& event) {
  last_seq_ = event.seq();
  trainer_ended_ = event.kind() == v1::Event::KIND_TRAIN_END;
  progress_.set_ended(trainer_ended_);
  if (event.kind() != v1::Event::KIND_TRAIN_BEGIN && event.kind() != v1::Event::KIND_TRAIN_END) {
    progress_.set_epoch(event.epoch());
  }
}

void RunState::TakeDecided(v1::Event& event, v1::Decision decision, int64_t now_unix_nanos,
                           Taken& taken) {
  Advance(event);
  OpenSaves(decision, now_unix_nanos, taken.update);
  if (!event.staged_upload().empty()) {
    taken.stages.push_back({event.staged_upload(), SaveOfStage(decision)});
  }
  const bool wanted = event.wants_decision();
  event.clear_wants_decision();
  if (decision.policies().empty() && event.staged_upload().empty()) {
    taken.update.events.Add(0, event);
  } else {
    taken.update.events.Add({0, RecordOf(event, decision)});
  }
  if (wanted || !decision.policies().empty()) {
    taken.answers.push_back(std::move(decision));
  }
}

absl::StatusOr<RunState::OnDemand> RunState::SaveOnDemand(policy::NameCheck name_check,
                                                          int64_t now_unix_nanos) {
  uint64_t last_checkpoint_id = progress_.last_checkpoint_id();
  auto decision = policy::DecideOnDemand(policies_, id_, progress_.epoch(), name_check, states_,
                                         &last_checkpoint_id);
  if (!decision.ok()) return decision.status();
  progress_.set_last_checkpoint_id(last_checkpoint_id);
  OnDemand result{NewUpdate(), *std::move(decision)};
  OpenSaves(result.decision, now_unix_nanos, result.update);
  result.update.progress = Progress();
  return result;
}

void RunState::OpenSaves(v1::Decision& decision, int64_t now_unix_nanos,
                         storage::RunUpdate& update) {
  for (v1::Checkpoint& save : *decision.mutable_saves()) {
    *save.mutable_create_time() = TimeUtil::NanosecondsToTimestamp(now_unix_nanos);
    save.set_writer_epoch(writer_epoch());
    update.opened_saves.push_back(save);
    saves_[ParseCheckpointName(save.name())->id] = {save, false};
  }
}

}  // namespace ckpt::server
