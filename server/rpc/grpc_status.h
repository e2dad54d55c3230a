// absl::Status to grpc::Status: the one place where errors leave the daemon.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace ckpt::server {

// Code and message as they are; the ErrorInfo goes into grpc-status-details-bin, with a RetryInfo
// when the daemon is shutting down.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace ckpt::server
