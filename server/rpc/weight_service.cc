#include "server/rpc/weight_service.h"

#include "server/rpc/download_stream.h"
#include "server/rpc/unary.h"
#include "server/rpc/upload_stream.h"
#include "storage/base/names.h"

namespace ckpt::server {

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* WeightServiceImpl::Upload(
    grpc::CallbackServerContext* /*call*/) {
  return UploadStream::Start(context_);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* WeightServiceImpl::Download(
    grpc::CallbackServerContext* /*call*/, const grpc::ByteBuffer* request) {
  return DownloadStream::Start(context_, *request, downloads_);
}

grpc::ServerUnaryReactor* WeightServiceImpl::DiscardStaged(
    grpc::CallbackServerContext* call, const v1::DiscardStagedRequest* request,
    v1::DiscardStagedResponse* /*response*/) {
  return OnDisk(context_.executors, call, [this, request]() -> absl::Status {
    const auto run = ParseRunName(request->staged().run());
    if (!run.ok()) return run.status();
    absl::Status status = CheckStageId(request->staged().stage_id());
    if (!status.ok()) return status;
    return context_.store.Discard(*run, "", request->staged().stage_id());
  });
}

}  // namespace ckpt::server
