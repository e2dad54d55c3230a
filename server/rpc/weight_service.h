// WeightService: bytes in (upload_stream.cc) and out (download_stream.cc).
#pragma once

#include <atomic>

#include "ckpt/v1/weight_service.grpc.pb.h"
#include "server/server_context.h"

namespace ckpt::server {

// Upload takes its messages unparsed: their bytes go to the disk from where gRPC has put them.
// Download gives its own unparsed: their bytes go out from where the disk has put them.
using WeightServiceBase = v1::WeightService::WithRawCallbackMethod_Upload<
    v1::WeightService::WithRawCallbackMethod_Download<
        v1::WeightService::WithCallbackMethod_DiscardStaged<v1::WeightService::Service>>>;

class WeightServiceImpl final : public WeightServiceBase {
 public:
  explicit WeightServiceImpl(const ServerContext& context) : context_(context) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Upload(
      grpc::CallbackServerContext* call) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Download(grpc::CallbackServerContext* call,
                                                       const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* DiscardStaged(grpc::CallbackServerContext* call,
                                          const v1::DiscardStagedRequest* request,
                                          v1::DiscardStagedResponse* response) override;

 private:
  const ServerContext& context_;
  std::atomic<int> downloads_ = 0;
};

}  // namespace ckpt::server
