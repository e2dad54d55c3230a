// One part on its way to the daemon.
#pragma once

#include <grpcpp/generic/generic_stub.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "ckpt/v1/weight_service.pb.h"
#include "storage/base/digest.h"

namespace ckpt::client {

// Survives broken streams: each Attempt goes on where the daemon says it can. Used by one thread at
// a time.
class PartUpload {
 public:
  // `start` names the target and the part. `bytes` stay valid and unchanged as long as `owner`
  // lives, which gRPC then sends from where they are, and may hold for a moment longer than this
  // lives. Without an owner they do so while this lives, and are copied.
  PartUpload(v1::UploadStart start, std::string_view bytes, std::shared_ptr<const void> owner);

  // Takes one stream, blocking until the daemon has the whole part or the stream has failed.
  // `context` may be cancelled from any thread. Errors: those of WeightService.Upload.
  absl::StatusOr<v1::UploadFinished> Attempt(grpc::GenericStub& stub, const std::string& server,
                                             grpc::ClientContext& context);

  // Whether the daemon has taken bytes since the last call.
  bool TakeProgress();

 private:
  class Call;

  // The chunk of `size` bytes at `offset`, as a message.
  grpc::ByteBuffer Chunk(size_t offset, size_t size);
  grpc::ByteBuffer Finish();
  void Accepted(int64_t offset);

  const v1::UploadStart start_;
  const std::string_view bytes_;
  const std::shared_ptr<const void> owner_;
  WholeDigest digest_;  // of bytes_ up to digest_.size()
  int64_t accepted_ = 0;
  bool progressed_ = false;
};

}  // namespace ckpt::client
