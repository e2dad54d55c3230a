#include "client/cpp/src/grpc_sender.h"

#include <utility>

namespace ckpt::client {

GrpcSender::GrpcSender(grpc::GenericStub& stub, std::string server, v1::UploadStart start,
                       std::string_view bytes, std::shared_ptr<const void> owner)
    : stub_(stub), server_(std::move(server)), upload_(std::move(start), bytes, std::move(owner)) {}

absl::StatusOr<v1::UploadFinished> GrpcSender::Attempt() {
  grpc::ClientContext context;
  {
    std::lock_guard lock(mutex_);
    context_ = &context;
    if (cancelled_) context.TryCancel();
  }
  absl::StatusOr<v1::UploadFinished> finished = upload_.Attempt(stub_, server_, context);
  std::lock_guard lock(mutex_);
  context_ = nullptr;
  return finished;
}

void GrpcSender::Cancel() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (context_ != nullptr) context_->TryCancel();
}

}  // namespace ckpt::client
