// One stream of bytes from the daemon.
#pragma once

#include <grpcpp/generic/generic_stub.h>

#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "ckpt/v1/weight_service.pb.h"

namespace ckpt::client {

// Takes the next bytes; an error ends the download.
using ByteSink = absl::FunctionRef<absl::Status(std::string_view)>;

// Streams what `request` names to `sink`, in order, each chunk checked on arrival and given in the
// pieces in which it came. Blocks. Errors: those of WeightService.Download; BLOB_CORRUPT also when
// bytes were damaged on their way; those of `sink`.
absl::Status Download(grpc::GenericStub& stub, const std::string& server,
                      const v1::DownloadRequest& request, ByteSink sink);

}  // namespace ckpt::client
