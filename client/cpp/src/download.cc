#include "client/cpp/src/download.h"

#include <fmt/format.h>

#include "client/cpp/src/rpc_status.h"
#include "storage/base/digest.h"
#include "storage/base/errors.h"

namespace ckpt::client {
namespace {

absl::Status CheckChunk(const v1::DownloadRequest& request, const v1::UploadChunk& chunk,
                        int64_t expected_offset) {
  if (chunk.offset() == expected_offset && chunk.crc32c() == Crc32c(chunk.data())) {
    return absl::OkStatus();
  }
  return BlobCorrupt(
      request.checkpoint(), request.part(),
      fmt::format("the bytes from {} on were damaged on their way", expected_offset));
}

}  // namespace

absl::Status Download(v1::WeightService::Stub& stub, const std::string& server,
                      const v1::DownloadRequest& request, ByteSink sink) {
  grpc::ClientContext context;
  const auto call = stub.Download(&context, request);
  absl::Status status;
  int64_t offset = request.offset();
  v1::DownloadResponse response;
  while (status.ok() && call->Read(&response)) {
    if (!response.has_chunk()) continue;
    status = CheckChunk(request, response.chunk(), offset);
    if (status.ok()) status = sink(response.chunk().data());
    offset += static_cast<int64_t>(response.chunk().data().size());
  }
  if (!status.ok()) context.TryCancel();
  const grpc::Status ended = call->Finish();
  return status.ok() ? FromGrpc(ended, server) : status;
}

}  // namespace ckpt::client
