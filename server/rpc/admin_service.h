// AdminService.
#pragma once

#include "ckpt/v1/admin_service.grpc.pb.h"
#include "server/rpc/server_context.h"

namespace ckpt::server {

class AdminServiceImpl final : public v1::AdminService::CallbackService {
 public:
  explicit AdminServiceImpl(const ServerContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* call,
                                      const v1::GetStatusRequest* request,
                                      v1::Status* response) override;

 private:
  const ServerContext& context_;
};

}  // namespace ckpt::server
