#include "server/run/best_checkpoint.h"

#include <algorithm>
#include <string>

#include "server/policy/decide.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::server {
namespace {

constexpr std::string_view kBestOf = "best:";

// The policy that a question without one is about: the first that keeps the best, or else the
// first.
const v1::CheckpointPolicy* LeadingPolicy(const v1::Run& run) {
  const auto leading =
      std::find_if(run.policies().begin(), run.policies().end(),
                   [](const v1::CheckpointPolicy& policy) { return policy.save_best_only(); });
  if (leading != run.policies().end()) return &*leading;
  return run.policies().empty() ? nullptr : &run.policies(0);
}

absl::StatusOr<bool> Maximize(std::string_view mode, std::string_view metric,
                              const policy::Policy* policy) {
  if (mode == "max" || mode == "min") return mode == "max";
  if (!mode.empty()) return FieldInvalid("mode", mode, "it must be min or max");
  if (policy != nullptr && policy->monitor() == metric) return policy->maximize();
  return policy::AutoModeMaximizes(metric);
}

}  // namespace

absl::StatusOr<v1::Checkpoint> FindCheckpoint(const storage::CheckpointStore& store,
                                              std::string_view run, std::string_view id) {
  if (id == "latest") return store.GetLatest(run);
  if (id == "best") return FindBest(store, run, "", "", "");
  if (id.starts_with(kBestOf)) return FindBest(store, run, "", "", id.substr(kBestOf.size()));
  return store.GetCheckpoint(run, id);
}

absl::StatusOr<v1::Checkpoint> FindBest(const storage::CheckpointStore& store, std::string_view run,
                                        std::string_view metric, std::string_view mode,
                                        std::string_view policy) {
  const absl::StatusOr<v1::Run> resource = store.GetRun(run);
  if (!resource.ok()) return resource.status();
  const v1::CheckpointPolicy* spec = LeadingPolicy(*resource);
  if (!policy.empty()) {
    const auto named =
        std::find_if(resource->policies().begin(), resource->policies().end(),
                     [&](const v1::CheckpointPolicy& other) { return other.name() == policy; });
    if (named == resource->policies().end()) return PolicyNotFound(run, policy);
    spec = &*named;
  }
  if (spec == nullptr && metric.empty()) {
    return AliasUnresolved(run, "best", "it has no policy to rank by; name a metric");
  }
  absl::StatusOr<policy::Policy> checked = absl::NotFoundError("no policy");
  if (spec != nullptr) checked = policy::Policy::Create(*spec);
  const policy::Policy* ranking = checked.ok() ? &*checked : nullptr;
  const std::string by(metric.empty() && ranking != nullptr ? ranking->monitor() : metric);
  const absl::StatusOr<bool> maximize = Maximize(mode, by, ranking);
  if (!maximize.ok()) return maximize.status();
  return store.GetBest(run, by, *maximize, policy);
}

}  // namespace ckpt::server
