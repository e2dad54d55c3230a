// TrainingService: one stream for each trainer, joined to the run's actor.
#pragma once

#include <atomic>

#include "ckpt/v1/training_service.grpc.pb.h"
#include "server/server_context.h"

namespace ckpt::server {

class TrainingServiceImpl final : public v1::TrainingService::CallbackService {
 public:
  explicit TrainingServiceImpl(const ServerContext& context) : context_(context) {}

  grpc::ServerBidiReactor<v1::TrainRequest, v1::TrainResponse>* Train(
      grpc::CallbackServerContext* call) override;

 private:
  const ServerContext& context_;
  std::atomic<int> streams_ = 0;
};

}  // namespace ckpt::server
