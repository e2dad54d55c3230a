// RUN and RUN@ID, as typed.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace ckpt::ctl {

// What a command is about. `id` is a number, "latest", "best", "best:POLICY", or empty for the run.
struct Target {
  std::string run;
  std::string id;
};

// "RUN", "RUN@ID", or a resource name as JSON shows it ("runs/RUN/checkpoints/ID").
// INVALID_ARGUMENT for anything else.
absl::StatusOr<Target> ParseTarget(std::string_view text);

// The other way: what names a resource in an argument.
std::string TargetOfRun(std::string_view resource_name);
std::string TargetOfCheckpoint(std::string_view resource_name);

}  // namespace ckpt::ctl
