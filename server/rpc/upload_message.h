// A message of an Upload call, with the bytes of a chunk where gRPC has put them.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "ckpt/v1/weight_service.pb.h"

namespace ckpt::server {

// Movable; not thread-safe. The bytes are gRPC's and are held as long as this lives.
class UploadMessage {
 public:
  UploadMessage() = default;
  // PROTOCOL: `buffer` is no UploadRequest.
  static absl::StatusOr<UploadMessage> Parse(const grpc::ByteBuffer& buffer);

  // Everything but the bytes: `chunk().data()` is empty.
  const v1::UploadRequest& request() const { return request_; }
  // The bytes of a chunk, in order, in at most 1,024 pieces.
  std::span<const std::string_view> data() const { return data_; }

 private:
  // Takes a chunk's header and leaves the bytes alone; false if the message is not made like that.
  bool TakeChunk();
  absl::Status TakeAny(const grpc::ByteBuffer& buffer);

  v1::UploadRequest request_;
  // Goes after its slices: under a memory quota gRPC must not see the last hold on a slice of its
  // own go on a thread which it knows nothing of; of a buffer it may.
  grpc::ByteBuffer buffer_;
  std::vector<grpc::Slice> slices_;
  std::vector<std::string_view> data_;  // of slices_
};

}  // namespace ckpt::server
