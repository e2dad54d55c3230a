// AdminService.
#pragma once

#include <atomic>

#include "ckpt/v1/admin_service.grpc.pb.h"
#include "server/server_context.h"

namespace ckpt::server {

class AdminServiceImpl final : public v1::AdminService::CallbackService {
 public:
  explicit AdminServiceImpl(const ServerContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* call,
                                      const v1::GetStatusRequest* request,
                                      v1::Status* response) override;
  grpc::ServerWriteReactor<v1::VerifyResponse>* Verify(grpc::CallbackServerContext* call,
                                                       const v1::VerifyRequest* request) override;
  grpc::ServerWriteReactor<v1::BackupResponse>* Backup(grpc::CallbackServerContext* call,
                                                       const v1::BackupRequest* request) override;

 private:
  const ServerContext& context_;
  std::atomic<bool> verifying_ = false;  // one at a time: together they would exceed the rate
};

}  // namespace ckpt::server
