// WeightService: bytes in (upload_stream.cc) and out (download_stream.cc).
#pragma once

#include <atomic>

#include "ckpt/v1/weight_service.grpc.pb.h"
#include "server/server_context.h"

namespace ckpt::server {

class WeightServiceImpl final : public v1::WeightService::CallbackService {
 public:
  explicit WeightServiceImpl(const ServerContext& context) : context_(context) {}

  grpc::ServerBidiReactor<v1::UploadRequest, v1::UploadResponse>* Upload(
      grpc::CallbackServerContext* call) override;
  grpc::ServerWriteReactor<v1::DownloadResponse>* Download(
      grpc::CallbackServerContext* call, const v1::DownloadRequest* request) override;
  grpc::ServerUnaryReactor* DiscardStaged(grpc::CallbackServerContext* call,
                                          const v1::DiscardStagedRequest* request,
                                          v1::DiscardStagedResponse* response) override;

 private:
  const ServerContext& context_;
  std::atomic<int> downloads_ = 0;
};

}  // namespace ckpt::server
