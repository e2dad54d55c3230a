// Errors as they travel.
#pragma once

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"

namespace ckpt::server {

// Code and message, with the status's ErrorInfo, and a RetryInfo where it is worth trying again
// soon. Pure.
google::rpc::Status ErrorDetails(const absl::Status& status);

}  // namespace ckpt::server
