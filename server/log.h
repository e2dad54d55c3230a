// Logging to standard error.
#pragma once

#include "ckpt/v1/config.pb.h"

namespace ckpt::server {

// Makes spdlog's default logger write text or one JSON object a line. The configuration is checked
// already. Called once, before other threads.
void SetUpLogging(const v1::LogConfig& config);

}  // namespace ckpt::server
