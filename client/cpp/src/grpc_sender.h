// Parts handed over by gRPC: works everywhere.
#pragma once

#include <grpcpp/client_context.h>

#include <memory>
#include <mutex>
#include <string>

#include "client/cpp/src/part_sender.h"
#include "client/cpp/src/part_upload.h"

namespace ckpt::client {

// Goes on where the broken stream before has ended.
class GrpcSender final : public PartSender {
 public:
  // `bytes` stay valid and unchanged as long as `owner` lives, or if that is null as long as this.
  // `stub` outlives this.
  GrpcSender(grpc::GenericStub& stub, std::string server, v1::UploadStart start,
             std::string_view bytes, std::shared_ptr<const void> owner);

  absl::StatusOr<v1::UploadFinished> Attempt() override;
  bool TakeProgress() override { return upload_.TakeProgress(); }
  void Cancel() override;

 private:
  grpc::GenericStub& stub_;
  const std::string server_;
  PartUpload upload_;

  std::mutex mutex_;
  grpc::ClientContext* context_ = nullptr;  // of the attempt under way
  bool cancelled_ = false;
};

}  // namespace ckpt::client
