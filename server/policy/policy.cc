#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "server/policy/decide.h"
#include "server/policy/file_name.h"
#include "server/policy/save_freq.h"
#include "server/policy/words.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "storage/base/utf8.h"

namespace ckpt::policy {
namespace {

constexpr std::string_view kDefaultMonitor = "val_loss";
constexpr size_t kMaxMonitorBytes = 256;  // as long as the name of a metric can be
constexpr size_t kMaxModeBytes = 64;
constexpr size_t kMaxShownBytes = 64;
constexpr int kMaxSnapshots = 16;

// Monitor and mode are printed on trainers' terminals.
absl::Status CheckPrintable(std::string_view field, std::string_view text, size_t max_bytes) {
  const auto is_control = [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; };
  if (text.size() <= max_bytes && std::ranges::none_of(text, is_control)) return absl::OkStatus();
  return FieldInvalid(
      field, Utf8Prefix(text, kMaxShownBytes),
      fmt::format("it may have up to {} bytes and no control characters", max_bytes));
}

absl::Status CheckOptions(const v1::StorageOptions& options) {
  if (!v1::StorageOptions::Projection_IsValid(options.projection())) {
    return FieldInvalid("options.projection", std::to_string(options.projection()),
                        "there is no such value");
  }
  if (!v1::StorageOptions::Placement_IsValid(options.placement())) {
    return FieldInvalid("options.placement", std::to_string(options.placement()),
                        "there is no such value");
  }
  const bool in_memory = options.placement() == v1::StorageOptions::PLACEMENT_MEMORY;
  if (options.snapshots() < 0 || options.snapshots() > (in_memory ? kMaxSnapshots : 0)) {
    return FieldInvalid(
        "options.snapshots", std::to_string(options.snapshots()),
        fmt::format("it must be 1 to {} with PLACEMENT_MEMORY, else unset", kMaxSnapshots));
  }
  if (!v1::StorageOptions::Acknowledge_IsValid(options.acknowledge())) {
    return FieldInvalid("options.acknowledge", std::to_string(options.acknowledge()),
                        "there is no such value");
  }
  return absl::OkStatus();
}

absl::Status CheckSpec(const v1::CheckpointPolicy& spec) {
  if (spec.filepath().empty()) return FieldInvalid("filepath", "", "a policy must have one");
  if (absl::Status status = CheckPrintable("monitor", spec.monitor(), kMaxMonitorBytes);
      !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckPrintable("mode", spec.mode(), kMaxModeBytes); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckOptions(spec.options()); !status.ok()) return status;
  return CheckTemplate(spec.filepath());
}

// The same error, for people and machines about the policy `name`.
absl::Status InPolicy(std::string_view name, const absl::Status& status) {
  ErrorMetadata metadata = MetadataOf(status);
  metadata["policy"] = name;
  return MakeError(ReasonOf(status), fmt::format("policy '{}': {}", name, MessageOf(status)),
                   metadata);
}

// What `mode` says; nothing for "auto" and for what the reference does not know.
std::optional<bool> ModeMaximizes(std::string_view mode) {
  if (mode == "max") return true;
  if (mode == "min") return false;
  return std::nullopt;
}

}  // namespace

bool AutoModeMaximizes(std::string_view monitor) {
  return monitor.find("acc") != monitor.npos || monitor.starts_with("fmeasure");
}

absl::StatusOr<Policy> Policy::Create(const v1::CheckpointPolicy& spec) {
  if (absl::Status status = CheckPolicyName(spec.name()); !status.ok()) return status;
  if (absl::Status status = CheckSpec(spec); !status.ok()) return InPolicy(spec.name(), status);
  const absl::StatusOr<SaveFreq> save_freq = ParseSaveFreq(spec.name(), spec.save_freq());
  if (!save_freq.ok()) return save_freq.status();

  Policy policy;
  policy.spec_ = spec;
  policy.monitor_ = spec.monitor().empty() ? kDefaultMonitor : spec.monitor();
  policy.maximize_ = ModeMaximizes(spec.mode()).value_or(AutoModeMaximizes(policy.monitor_));
  policy.every_epoch_ = save_freq->every_epoch;
  policy.every_n_batches_ = save_freq->every_n_batches;
  if (spec.has_period()) {
    policy.period_ = std::max<int64_t>(1, spec.period());
    policy.warnings_.push_back(PeriodWarning());
  }
  const bool mode_known =
      spec.mode().empty() || spec.mode() == "auto" || ModeMaximizes(spec.mode()).has_value();
  if (!mode_known) policy.warnings_.push_back(UnknownModeWarning(spec.mode()));
  return policy;
}

v1::Checkpoint::Payload Policy::payload() const {
  return spec_.save_weights_only() ? v1::Checkpoint::PAYLOAD_WEIGHTS : v1::Checkpoint::PAYLOAD_FULL;
}

v1::PolicyState Policy::InitialState() const {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  v1::PolicyState state;
  state.set_policy(spec_.name());
  state.set_monitor(monitor_);
  state.set_maximize(maximize_);
  state.set_best(spec_.has_initial_value_threshold() ? spec_.initial_value_threshold()
                 : maximize_                         ? -kInfinity
                                                     : kInfinity);
  return state;
}

bool Policy::Better(double value, double than) const {
  return maximize_ ? value > than : value < than;
}

double Policy::EffectiveBest(const v1::PolicyState& state) const {
  double best = state.best();
  for (const v1::PolicyState::OpenSave& save : state.open_saves()) {
    if (save.has_value() && Better(save.value(), best)) best = save.value();
  }
  return best;
}

}  // namespace ckpt::policy
