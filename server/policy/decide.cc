#include "server/policy/decide.h"

#include <cassert>
#include <optional>
#include <string>
#include <utility>

#include "server/policy/file_name.h"
#include "server/policy/trigger.h"
#include "server/policy/words.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::policy {
namespace {

std::optional<double> Find(const Logs& logs, const std::string& name) {
  const auto metric = logs.find(name);
  return metric == logs.end() ? std::nullopt : std::optional(metric->second.number);
}

bool InMemory(const v1::StorageOptions& options) {
  return options.placement() == v1::StorageOptions::PLACEMENT_MEMORY;
}

std::string IdOf(const v1::Checkpoint& save) {
  return save.name().substr(save.name().rfind('/') + 1);
}

void Fail(const absl::Status& status, v1::PolicyDecision& decision) {
  decision.set_action(v1::PolicyDecision::ACTION_ERROR);
  decision.set_reason(v1::PolicyDecision::REASON_NAME_ERROR);
  decision.clear_message();
  decision.mutable_error()->set_reason(ReasonOf(status));
  decision.mutable_error()->set_message(std::string(MessageOf(status)));
}

void Set(v1::PolicyDecision::Action action, v1::PolicyDecision::Reason reason, std::string message,
         v1::PolicyDecision& decision) {
  decision.set_action(action);
  decision.set_reason(reason);
  decision.set_message(std::move(message));
}

// Whether `current` is worth a save, and the words for it.
void Judge(const Policy& policy, int64_t epoch, std::string_view filepath,
           std::optional<double> current, double best, v1::PolicyDecision& decision) {
  const bool verbose = policy.spec().verbose() > 0;
  const auto words = [&](auto text, auto... values) {
    return verbose ? text(epoch, values...) : std::string();
  };
  const std::string& monitor = policy.monitor();
  if (!policy.spec().save_best_only()) {
    Set(v1::PolicyDecision::ACTION_SAVE, v1::PolicyDecision::REASON_ALWAYS,
        words(SavingMessage, filepath), decision);
  } else if (!current.has_value()) {
    Set(v1::PolicyDecision::ACTION_SKIP, v1::PolicyDecision::REASON_METRIC_MISSING, "", decision);
    decision.set_warning(MetricMissingWarning(monitor));
  } else if (policy.Better(*current, best)) {
    Set(v1::PolicyDecision::ACTION_SAVE, v1::PolicyDecision::REASON_IMPROVED,
        words(ImprovedMessage, monitor, best, *current, filepath), decision);
  } else {
    Set(v1::PolicyDecision::ACTION_SKIP, v1::PolicyDecision::REASON_NOT_IMPROVED,
        words(NotImprovedMessage, monitor, best), decision);
  }
}

// One event on its way through the policies.
class Round {
 public:
  Round(const EventView& event, std::string_view run, bool answered_before, NameCheck name_check,
        uint64_t* last_checkpoint_id)
      : event_(event),
        run_(run),
        answered_before_(answered_before),
        name_check_(name_check),
        last_checkpoint_id_(last_checkpoint_id) {
    decision_.set_seq(event.seq);
  }

  void Consider(const Policy& policy, v1::PolicyState& state);
  // The decision, when every policy has been considered.
  v1::Decision Finish(const std::vector<v1::PolicyState>& states) &&;

 private:
  void Try(const Policy& policy, const Attempt& attempt, v1::PolicyState& state,
           v1::PolicyDecision& decision);
  void Open(const Policy& policy, const FileName& name, std::optional<double> current,
            v1::PolicyState& state, v1::PolicyDecision& decision);
  v1::Checkpoint& SaveOf(const Policy& policy);

  const EventView& event_;
  const std::string_view run_;
  const bool answered_before_;
  const NameCheck name_check_;
  uint64_t* const last_checkpoint_id_;
  v1::Decision decision_;
};

void Round::Consider(const Policy& policy, v1::PolicyState& state) {
  const std::optional<Attempt> attempt = Advance(policy, event_, state);
  if (!attempt.has_value()) return;
  v1::PolicyDecision& decision = *decision_.add_policies();
  decision.set_policy(policy.spec().name());
  Try(policy, *attempt, state, decision);
  decision.set_best(policy.EffectiveBest(state));
}

// As in the reference the name comes first: what is wrong with it shows even when nothing would be
// saved.
void Round::Try(const Policy& policy, const Attempt& attempt, v1::PolicyState& state,
                v1::PolicyDecision& decision) {
  static const auto& no_logs = *new Logs();
  const Logs& logs = event_.logs == nullptr ? no_logs : *event_.logs;
  const absl::StatusOr<FileName> name =
      MakeFileName(policy.spec().filepath(), attempt.epoch, attempt.batch, logs);
  if (!name.ok()) return Fail(name.status(), decision);

  const std::optional<double> current = Find(logs, policy.monitor());
  Judge(policy, attempt.epoch, name->text, current, policy.EffectiveBest(state), decision);
  if (decision.action() != v1::PolicyDecision::ACTION_SAVE) return;
  if (answered_before_) {
    return Set(v1::PolicyDecision::ACTION_SKIP, v1::PolicyDecision::REASON_ANSWERED_BEFORE, "",
               decision);
  }
  if (const absl::Status status = name_check_(name->path); !status.ok()) {
    return Fail(status, decision);
  }
  Open(policy, *name, current, state, decision);
}

// Lets the event's save for the policy's payload, on disk or in memory, serve this policy too.
void Round::Open(const Policy& policy, const FileName& name, std::optional<double> current,
                 v1::PolicyState& state, v1::PolicyDecision& decision) {
  v1::Checkpoint& save = SaveOf(policy);
  v1::Placement& placement = *save.add_placements();
  placement.set_policy(policy.spec().name());
  placement.set_filepath(name.path);
  *placement.mutable_options() = policy.spec().options();
  if (current.has_value()) placement.set_value(*current);

  v1::PolicyState::OpenSave& open = *state.add_open_saves();
  open.set_checkpoint_id(IdOf(save));
  if (policy.spec().save_best_only()) open.set_value(*current);

  decision.set_filepath(name.text);
  decision.set_save(save.name());
  decision.set_payload(policy.payload());
}

v1::Checkpoint& Round::SaveOf(const Policy& policy) {
  const v1::Checkpoint::Payload payload = policy.payload();
  for (v1::Checkpoint& save : *decision_.mutable_saves()) {
    const bool in_memory = InMemory(save.placements(0).options());
    if (save.payload() == payload && in_memory == InMemory(policy.spec().options())) return save;
  }
  v1::Checkpoint& save = *decision_.add_saves();
  save.set_name(CheckpointName(run_, std::to_string(++*last_checkpoint_id_)));
  save.set_state(v1::Checkpoint::STATE_SAVING);
  save.set_payload(payload);
  save.set_seq(event_.seq);
  save.set_epoch(event_.epoch);
  if (event_.kind == v1::Event::KIND_BATCH_END) save.set_batch(event_.batch);
  if (event_.logs != nullptr) {
    for (const auto& [metric, value] : *event_.logs) {
      (*save.mutable_metrics())[metric] = value.number;
    }
  }
  return save;
}

v1::Decision Round::Finish(const std::vector<v1::PolicyState>& states) && {
  for (v1::Checkpoint& save : *decision_.mutable_saves()) {
    save.mutable_policy_states()->Assign(states.begin(), states.end());
  }
  return std::move(decision_);
}

}  // namespace

bool PolicySet::Act(const EventView& event, std::span<const v1::PolicyState> states) const {
  assert(states.size() == policies_.size());
  for (size_t i = 0; i < policies_.size(); ++i) {
    if (IsDue(policies_[i], event, states[i])) return true;
  }
  return false;
}

void PolicySet::Pass(const EventView& event, std::span<v1::PolicyState> states) const {
  assert(!Act(event, states));
  for (size_t i = 0; i < policies_.size(); ++i) Advance(policies_[i], event, states[i]);
}

v1::Decision PolicySet::Decide(const EventView& event, std::string_view run, bool answered_before,
                               NameCheck name_check, std::vector<v1::PolicyState>& states,
                               uint64_t* last_checkpoint_id) const {
  assert(states.size() == policies_.size());
  Round round(event, run, answered_before, name_check, last_checkpoint_id);
  for (size_t i = 0; i < policies_.size(); ++i) round.Consider(policies_[i], states[i]);
  v1::Decision decision = std::move(round).Finish(states);
  decision.set_quiet_batches(QuietBatches(states));
  return decision;
}

}  // namespace ckpt::policy
