// Resource names: `runs/{run}` and `runs/{run}/checkpoints/{id}`, and the rules for ids. Pure.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ckpt {

struct CheckpointRef {
  std::string run;  // run id
  std::string id;   // decimal id, or an alias: "latest", "best", "best:{policy}"
};

// NAME_INVALID unless `id` matches `[A-Za-z0-9][A-Za-z0-9._-]{0,max-1}`; `field` is for the
// message.
absl::Status CheckId(std::string_view field, std::string_view id, size_t max);
absl::Status CheckRunId(std::string_view run);        // up to 128
absl::Status CheckPolicyName(std::string_view name);  // up to 64
absl::Status CheckStageId(std::string_view id);       // up to 64
absl::Status CheckPartName(std::string_view part);    // up to 128; not "manifest.json"

std::string RunName(std::string_view run);
std::string CheckpointName(std::string_view run, std::string_view id);

// The id in `runs/{run}`. NAME_INVALID if it is not such a name.
absl::StatusOr<std::string> ParseRunName(std::string_view name);
// Run and id in `runs/{run}/checkpoints/{id}`. NAME_INVALID if it is not such a name. The id is
// either digits without a leading zero or an alias.
absl::StatusOr<CheckpointRef> ParseCheckpointName(std::string_view name);
// Whether `id` is an alias rather than a number.
bool IsAlias(std::string_view id);

}  // namespace ckpt
