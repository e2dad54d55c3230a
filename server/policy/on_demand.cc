#include "server/policy/on_demand.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "storage/base/names.h"

namespace ckpt::policy {
namespace {

constexpr size_t kMaxEndingBytes = 32;  // what is longer is no ending

v1::Checkpoint::Payload PayloadOf(const std::vector<Policy>& policies) {
  const bool weights_only = std::ranges::all_of(policies, [](const Policy& policy) {
    return policy.payload() == v1::Checkpoint::PAYLOAD_WEIGHTS;
  });
  return weights_only && !policies.empty() ? v1::Checkpoint::PAYLOAD_WEIGHTS
                                           : v1::Checkpoint::PAYLOAD_FULL;
}

// ".weights.h5" of "m-{epoch:02d}.weights.h5".
std::string_view EndingOf(std::string_view filepath) {
  if (const size_t literal = filepath.find_last_of("/}"); literal != std::string_view::npos) {
    filepath.remove_prefix(literal + 1);
  }
  const size_t dot = filepath.find('.');
  if (dot == std::string_view::npos || filepath.size() - dot > kMaxEndingBytes) return {};
  return filepath.substr(dot);
}

}  // namespace

absl::StatusOr<v1::Decision> DecideOnDemand(const PolicySet& policies, std::string_view run,
                                            int64_t epoch, NameCheck name_check,
                                            std::span<const v1::PolicyState> states,
                                            uint64_t* last_checkpoint_id) {
  const uint64_t id = *last_checkpoint_id + 1;
  v1::Decision decision;
  v1::Checkpoint& save = *decision.add_saves();
  save.set_name(CheckpointName(run, std::to_string(id)));
  save.set_state(v1::Checkpoint::STATE_SAVING);
  save.set_payload(PayloadOf(policies.policies()));
  save.set_epoch(epoch);
  save.mutable_policy_states()->Assign(states.begin(), states.end());

  const auto first = std::ranges::find(policies.policies(), save.payload(), &Policy::payload);
  const bool found = first != policies.policies().end();
  v1::Placement& placement = *save.add_placements();
  placement.set_policy(std::string(kOnDemand));
  placement.set_filepath(
      fmt::format("{}/{}{}", kOnDemand, id, found ? EndingOf(first->spec().filepath()) : ""));
  if (absl::Status status = name_check(placement.filepath()); !status.ok()) return status;
  *last_checkpoint_id = id;
  return decision;
}

}  // namespace ckpt::policy
