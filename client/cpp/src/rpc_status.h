// The one translation from gRPC's errors to ours.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "absl/status/status.h"

namespace google::rpc {
class Status;
}  // namespace google::rpc
namespace grpc {
class Status;
}  // namespace grpc

namespace ckpt::client {

// The same error, with the details the daemon attached as payloads, so that ckpt::ReasonOf works.
// Where the daemon did not answer, the message names `server` and says what to do.
absl::Status FromGrpc(const grpc::Status& status, std::string_view server);

// The error that the daemon describes by `details`, so that ckpt::ReasonOf works.
absl::Status FromDetails(const google::rpc::Status& details);

// Whether the same call may succeed when it is tried again: the connection broke, the daemon is
// going down or coming up, or another stream of ours has not been noticed dead yet.
bool IsTransient(const absl::Status& status);

// The pause the daemon asks for (google.rpc.RetryInfo), if it does.
std::optional<std::chrono::milliseconds> RetryDelayOf(const absl::Status& status);

}  // namespace ckpt::client
