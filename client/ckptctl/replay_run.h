// One recorded case, driven through a daemon.
#pragma once

#include <chrono>
#include <string>

#include "absl/status/statusor.h"
#include "client/ckptctl/replay_case.h"

namespace ckpt::ctl {

// Plays `replay` to the daemon at `server` (as in RunOptions) as a new run named by its id. The
// line of output, once all saves of the run are committed. Waits for an absent daemon for
// `patience`. Blocks; may be called on several threads at once. Errors: those of ckpt::Run, none of
// which the policy has made: what it refuses or raises is part of the output.
absl::StatusOr<std::string> RunReplayCase(const std::string& server,
                                          std::chrono::milliseconds patience,
                                          const ReplayCase& replay);

}  // namespace ckpt::ctl
