// How ckptctl ends.
#pragma once

#include "absl/status/status.h"

namespace ckpt::ctl {

// Documented in `ckptctl --help`; scripts rely on them.
enum ExitCode : int {
  kOk = 0,
  kError = 1,
  kUsage = 2,
  kNotFound = 3,
  kUnavailable = 4,
  kIntegrity = 5,
  kInterrupted = 130,
};

ExitCode ExitCodeOf(const absl::Status& status);

}  // namespace ckpt::ctl
