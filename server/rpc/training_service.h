// TrainingService: one stream for each trainer, joined to the run's actor.
#pragma once

#include <atomic>

#include "ckpt/v1/training_service.grpc.pb.h"
#include "server/server_context.h"

namespace ckpt::server {

// Messages come and go unparsed: see train_message.h.
using TrainingServiceBase =
    v1::TrainingService::WithRawCallbackMethod_Train<v1::TrainingService::Service>;

class TrainingServiceImpl final : public TrainingServiceBase {
 public:
  explicit TrainingServiceImpl(const ServerContext& context) : context_(context) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Train(
      grpc::CallbackServerContext* call) override;

 private:
  const ServerContext& context_;
  std::atomic<int> streams_ = 0;
};

}  // namespace ckpt::server
