// One stream of bytes from the daemon.
#pragma once

#include <grpcpp/generic/generic_stub.h>

#include <span>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "ckpt/v1/weight_service.pb.h"

namespace ckpt::client {

// Takes the next bytes, in the pieces in which they came; an error ends the download.
using Pieces = std::span<const std::string_view>;
using ByteSink = absl::FunctionRef<absl::Status(Pieces)>;

// Streams what `request` names to `sink`, in order, chunk by chunk, each checked on arrival.
// Blocks. Errors: those of WeightService.Download; BLOB_CORRUPT also when bytes were damaged on
// their way; those of `sink`.
absl::Status Download(grpc::GenericStub& stub, const std::string& server,
                      const v1::DownloadRequest& request, ByteSink sink);

}  // namespace ckpt::client
