// The policy engine: (policies, state, event) -> (decision, new state). Pure: no clock, no I/O, no
// threads. Behaviour is that of TensorFlow 2.9's ModelCheckpoint (keras/callbacks.py, v2.9.0),
// except that best is the best *committed* checkpoint: a save on its way counts until it fails.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/policy.pb.h"
#include "ckpt/v1/resources.pb.h"
#include "server/policy/metric_value.h"

namespace ckpt::policy {

// What mode "auto" makes of a monitor: true for max.
bool AutoModeMaximizes(std::string_view monitor);

// One policy that has passed the checks of the reference's constructor and ours.
class Policy {
 public:
  // Errors: NAME_INVALID, FIELD_INVALID, SAVE_FREQ_INVALID (message as the reference's),
  // PATH_ESCAPES and PATH_TOO_LONG for what is wrong whatever the event. A malformed template is
  // accepted, as in the reference, and fails when a name is formatted.
  static absl::StatusOr<Policy> Create(const v1::CheckpointPolicy& spec);

  const v1::CheckpointPolicy& spec() const { return spec_; }
  // What the reference's constructor logs, in order.
  const std::vector<std::string>& warnings() const { return warnings_; }
  const std::string& monitor() const { return monitor_; }  // default applied
  bool maximize() const { return maximize_; }
  bool every_epoch() const { return every_epoch_; }
  int64_t every_n_batches() const { return every_n_batches_; }  // at least 1; if !every_epoch()
  int64_t period() const { return period_; }                    // in epochs; if every_epoch()
  v1::Checkpoint::Payload payload() const;

  // State before the first event.
  v1::PolicyState InitialState() const;
  // Whether `value` is strictly better than `than`, in this policy's direction.
  bool Better(double value, double than) const;
  // Best value with the saves on their way counted in.
  double EffectiveBest(const v1::PolicyState& state) const;

 private:
  Policy() = default;

  v1::CheckpointPolicy spec_;
  std::vector<std::string> warnings_;
  std::string monitor_;
  bool maximize_ = false;
  bool every_epoch_ = true;
  int64_t every_n_batches_ = 1;
  int64_t period_ = 1;
};

// An event as policies see it.
struct EventView {
  uint64_t seq = 0;
  v1::Event::Kind kind = v1::Event::KIND_UNSPECIFIED;
  int64_t epoch = 0;           // 0-based, up to 2^53
  int64_t batch = 0;           // 0-based, up to 2^53
  const Logs* logs = nullptr;  // looked at only if a policy acts
};

// Refuses a file name (a relative path, normalised) for a reason outside the engine: something on
// disk is in the way.
using NameCheck = absl::FunctionRef<absl::Status(std::string_view filepath)>;

// The policies of one run and the rules that span them. `states` has one entry for each policy, in
// order. Ids of saves are last_checkpoint_id + 1, + 2 …
class PolicySet {
 public:
  // POLICY_DUPLICATE, LIMIT_EXCEEDED (32), and the errors of Policy::Create.
  static absl::StatusOr<PolicySet> Create(std::span<const v1::CheckpointPolicy> specs);

  const std::vector<Policy>& policies() const { return policies_; }

  // States for these policies: those of `previous` (by name) where monitor and direction make the
  // best comparable still. `fresh` forgets best and counters. Saves on their way are kept in every
  // case; where the best is not, they no longer rank.
  std::vector<v1::PolicyState> CarryOver(std::span<const v1::PolicyState> previous,
                                         bool fresh) const;

  // Whether a policy acts at `event`, which Decide has not been given yet.
  bool Act(const EventView& event, std::span<const v1::PolicyState> states) const;

  // Feeds an event at which no policy acts: it is counted.
  void Pass(const EventView& event, std::span<v1::PolicyState> states) const;

  // Feeds one event. REQUIRES: an entry in `states` for each policy. Changes `states` and
  // `*last_checkpoint_id`. The decision has an entry for each policy that acted, at most one save
  // for each payload on disk, and one in memory (name, payload, seq, epoch, batch, metrics,
  // placements, STATE_SAVING and policy_states set; times and writer are the caller's), and
  // quiet_batches. `run` is the run id. `answered_before`: the trainer was told SKIP for this event
  // before a restart, so a policy that would save now skips (REASON_ANSWERED_BEFORE) and its best
  // stays.
  v1::Decision Decide(const EventView& event, std::string_view run, bool answered_before,
                      NameCheck name_check, std::vector<v1::PolicyState>& states,
                      uint64_t* last_checkpoint_id) const;

  // See v1::Decision.quiet_batches. At least 1, which means that the next batch end may be decided;
  // with `save_freq` 5 it is 5 after an attempt, and the fifth batch end from there is the next
  // one.
  int64_t QuietBatches(std::span<const v1::PolicyState> states) const;

  // A save was committed: its value becomes the best of each policy that ranked it.
  void Committed(std::string_view id, std::vector<v1::PolicyState>& states) const;
  // A save failed or was given up: every policy takes its rank back.
  void Failed(std::string_view id, std::vector<v1::PolicyState>& states) const;
  // Counters (not best values) as they were right after `checkpoint` was decided. Policies of which
  // the checkpoint knows nothing go on as they are.
  void ResumeCounters(const v1::Checkpoint& checkpoint, std::vector<v1::PolicyState>& states) const;

 private:
  std::vector<Policy> policies_;
};

}  // namespace ckpt::policy
