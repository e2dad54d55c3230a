#include <algorithm>
#include <cassert>
#include <limits>
#include <optional>
#include <utility>

#include "server/policy/decide.h"
#include "storage/base/errors.h"

namespace ckpt::policy {
namespace {

constexpr size_t kMaxPolicies = 32;

void CopyCounters(const v1::PolicyState& from, v1::PolicyState& to) {
  to.set_batches_since_attempt(from.batches_since_attempt());
  to.set_last_batch(from.last_batch());
  to.set_epochs_since_attempt(from.epochs_since_attempt());
  to.set_current_epoch(from.current_epoch());
}

const v1::PolicyState* FindState(std::span<const v1::PolicyState> states, std::string_view policy) {
  const auto found =
      std::ranges::find_if(states, [&](const auto& state) { return state.policy() == policy; });
  return found == states.end() ? nullptr : &*found;
}

// Whether a best of `state` is a best of `policy` too.
bool RanksAlike(const Policy& policy, const v1::PolicyState& state) {
  return state.monitor() == policy.monitor() && state.maximize() == policy.maximize();
}

// The state of `policy` that goes on from `previous`.
v1::PolicyState Continue(const Policy& policy, const v1::PolicyState& previous, bool keep_best,
                         bool keep_counters) {
  v1::PolicyState state = policy.InitialState();
  *state.mutable_open_saves() = previous.open_saves();
  if (keep_counters) CopyCounters(previous, state);
  if (!keep_best) {
    for (v1::PolicyState::OpenSave& save : *state.mutable_open_saves()) save.clear_value();
  } else if (!previous.best_checkpoint_id().empty()) {
    state.set_best(previous.best());
    state.set_best_checkpoint_id(previous.best_checkpoint_id());
  }
  return state;
}

// Removes the save `id` from the saves on their way. The value it was ranked by, if it was.
std::optional<double> TakeOpenSave(std::string_view id, v1::PolicyState& state) {
  auto& saves = *state.mutable_open_saves();
  const auto save =
      std::ranges::find_if(saves, [&](const auto& open) { return open.checkpoint_id() == id; });
  if (save == saves.end()) return std::nullopt;
  const std::optional<double> value =
      save->has_value() ? std::optional(save->value()) : std::nullopt;
  saves.erase(save);
  return value;
}

}  // namespace

absl::StatusOr<PolicySet> PolicySet::Create(std::span<const v1::CheckpointPolicy> specs) {
  if (specs.size() > kMaxPolicies) return LimitExceeded("policies", kMaxPolicies, specs.size());
  PolicySet set;
  for (const v1::CheckpointPolicy& spec : specs) {
    absl::StatusOr<Policy> policy = Policy::Create(spec);
    if (!policy.ok()) return policy.status();
    const bool twice = std::ranges::any_of(
        set.policies_, [&](const Policy& other) { return other.spec().name() == spec.name(); });
    if (twice) return PolicyDuplicate(spec.name());
    set.policies_.push_back(*std::move(policy));
  }
  return set;
}

std::vector<v1::PolicyState> PolicySet::CarryOver(std::span<const v1::PolicyState> previous,
                                                  bool fresh) const {
  std::vector<v1::PolicyState> states;
  for (const Policy& policy : policies_) {
    const v1::PolicyState* state = FindState(previous, policy.spec().name());
    states.push_back(state == nullptr
                         ? policy.InitialState()
                         : Continue(policy, *state, !fresh && RanksAlike(policy, *state), !fresh));
  }
  return states;
}

int64_t PolicySet::QuietBatches(std::span<const v1::PolicyState> states) const {
  assert(states.size() == policies_.size());
  int64_t quiet = std::numeric_limits<int64_t>::max();
  std::optional<int64_t> last_batch;
  for (size_t i = 0; i < policies_.size(); ++i) {
    if (policies_[i].every_epoch()) continue;
    // Policies that joined at different times may count the next batch end differently.
    if (last_batch.value_or(states[i].last_batch()) != states[i].last_batch()) return 1;
    last_batch = states[i].last_batch();
    const int64_t left = policies_[i].every_n_batches() - states[i].batches_since_attempt();
    quiet = std::min(quiet, std::max<int64_t>(1, left));
  }
  return quiet;
}

void PolicySet::Committed(std::string_view id, std::vector<v1::PolicyState>& states) const {
  assert(states.size() == policies_.size());
  for (size_t i = 0; i < policies_.size(); ++i) {
    const std::optional<double> value = TakeOpenSave(id, states[i]);
    if (!value.has_value() || !policies_[i].Better(*value, states[i].best())) continue;
    states[i].set_best(*value);
    states[i].set_best_checkpoint_id(std::string(id));
  }
}

void PolicySet::Failed(std::string_view id, std::vector<v1::PolicyState>& states) const {
  for (v1::PolicyState& state : states) TakeOpenSave(id, state);
}

void PolicySet::ResumeCounters(const v1::Checkpoint& checkpoint,
                               std::vector<v1::PolicyState>& states) const {
  for (v1::PolicyState& state : states) {
    for (const v1::PolicyState& then : checkpoint.policy_states()) {
      if (then.policy() == state.policy()) CopyCounters(then, state);
    }
  }
}

}  // namespace ckpt::policy
