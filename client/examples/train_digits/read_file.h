// Whole files.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace ckpt::examples {

// The content of the file at `path`. NOT_FOUND if it cannot be read, whatever the reason.
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace ckpt::examples
