// Policies that live in the daemon's configuration, and the rules that give them to runs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/config.pb.h"
#include "ckpt/v1/training_service.pb.h"

namespace ckpt::server {

// Immutable, so thread-safe.
class ConfiguredPolicies {
 public:
  ConfiguredPolicies() = default;
  // Errors: those of PolicySet::Create, POLICY_NOT_FOUND for a rule that names no policy,
  // FIELD_INVALID for an empty rule.
  static absl::StatusOr<ConfiguredPolicies> Create(const v1::DaemonConfig& config);

  // The policies a Hello asks for: its own and those it names; if none of both, those of the first
  // rule that matches the run. Empty: nobody says anything. POLICY_NOT_FOUND.
  absl::StatusOr<std::vector<v1::CheckpointPolicy>> For(std::string_view run,
                                                        const v1::Hello& hello) const;

 private:
  absl::Status Append(std::string_view owner, std::string_view name,
                      std::vector<v1::CheckpointPolicy>& policies) const;

  std::vector<v1::CheckpointPolicy> policies_;
  std::vector<v1::PolicyRule> rules_;
};

}  // namespace ckpt::server
