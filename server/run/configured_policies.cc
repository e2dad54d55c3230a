#include "server/run/configured_policies.h"

#include <fnmatch.h>

#include <algorithm>

#include "server/policy/decide.h"
#include "storage/base/errors.h"

namespace ckpt::server {

absl::StatusOr<ConfiguredPolicies> ConfiguredPolicies::Create(const v1::DaemonConfig& config) {
  ConfiguredPolicies configured;
  configured.policies_.assign(config.policies().begin(), config.policies().end());
  configured.rules_.assign(config.rules().begin(), config.rules().end());
  if (auto set = policy::PolicySet::Create(configured.policies_); !set.ok()) return set.status();
  for (const v1::PolicyRule& rule : configured.rules_) {
    if (rule.runs().empty()) return FieldInvalid("rules.runs", "", "a rule needs a run pattern");
    if (rule.policies().empty()) {
      return FieldInvalid("rules.policies", "", "a rule needs at least one policy");
    }
    std::vector<v1::CheckpointPolicy> ignored;
    for (const std::string& name : rule.policies()) {
      const absl::Status status = configured.Append("rule for " + rule.runs(), name, ignored);
      if (!status.ok()) return status;
    }
  }
  return configured;
}

absl::Status ConfiguredPolicies::Append(std::string_view owner, std::string_view name,
                                        std::vector<v1::CheckpointPolicy>& policies) const {
  const auto found = std::find_if(policies_.begin(), policies_.end(),
                                  [&](const auto& policy) { return policy.name() == name; });
  if (found == policies_.end()) {
    return MakeError(v1::ERROR_REASON_POLICY_NOT_FOUND,
                     std::string(owner) + ": the daemon's configuration has no policy '" +
                         std::string(name) + "'",
                     {{"policy", std::string(name)}});
  }
  policies.push_back(*found);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::CheckpointPolicy>> ConfiguredPolicies::For(
    std::string_view run, const v1::Hello& hello) const {
  std::vector<v1::CheckpointPolicy> policies(hello.policies().begin(), hello.policies().end());
  for (const std::string& name : hello.policy_names()) {
    if (absl::Status status = Append(hello.run(), name, policies); !status.ok()) return status;
  }
  if (!policies.empty()) return policies;
  const std::string id(run);
  for (const v1::PolicyRule& rule : rules_) {
    if (fnmatch(rule.runs().c_str(), id.c_str(), 0) != 0) continue;
    for (const std::string& name : rule.policies()) {
      if (absl::Status status = Append(hello.run(), name, policies); !status.ok()) return status;
    }
    break;
  }
  return policies;
}

}  // namespace ckpt::server
