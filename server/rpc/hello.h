// Checks of a Hello that need nothing but the message.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "ckpt/v1/training_service.pb.h"

namespace ckpt::server {

// The run's id. NAME_INVALID, FIELD_INVALID, LIMIT_EXCEEDED, UNSUPPORTED (several ranks). Pure.
absl::StatusOr<std::string> CheckHello(const v1::Hello& hello);

}  // namespace ckpt::server
