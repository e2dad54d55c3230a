// A message of a Train call.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"
#include "ckpt/v1/training_service.pb.h"

namespace ckpt::server {

// Reads a TrainRequest. Its events go into `events`, and `request` has an empty batch then: a
// message of events has hundreds of parts, and `events` uses the memory again that it has.
// PROTOCOL: `buffer` is none; what was read is of no meaning then.
absl::Status ParseTrainRequest(grpc::ByteBuffer& buffer, v1::TrainRequest& request,
                               v1::EventBatch& events);

}  // namespace ckpt::server
