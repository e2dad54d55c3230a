#include "client/ckptctl/target.h"

#include <fmt/format.h>

#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::ctl {
namespace {

constexpr std::string_view kRunsPrefix = "runs/";

}  // namespace

absl::StatusOr<Target> ParseTarget(std::string_view text) {
  Target target;
  if (const auto checkpoint = ParseCheckpointName(text); checkpoint.ok()) {
    return Target{checkpoint->run, checkpoint->id};
  }
  if (const auto run = ParseRunName(text); run.ok()) return Target{*run, ""};

  const size_t at = text.find('@');
  target.run = text.substr(0, at);
  if (absl::Status status = CheckRunId(target.run); !status.ok()) return status;
  if (at == std::string_view::npos) return target;
  target.id = text.substr(at + 1);
  // The rules for ids are those of resource names.
  const auto checkpoint = ParseCheckpointName(CheckpointName(target.run, target.id));
  if (!checkpoint.ok()) {
    return NameInvalid("checkpoint", target.id, "a number, 'latest', 'best' or 'best:POLICY'");
  }
  return target;
}

std::string TargetOfRun(std::string_view resource_name) {
  const bool known = resource_name.starts_with(kRunsPrefix);
  return std::string(known ? resource_name.substr(kRunsPrefix.size()) : resource_name);
}

std::string TargetOfCheckpoint(std::string_view resource_name) {
  const auto checkpoint = ParseCheckpointName(resource_name);
  if (!checkpoint.ok()) return std::string(resource_name);
  return fmt::format("{}@{}", checkpoint->run, checkpoint->id);
}

}  // namespace ckpt::ctl
