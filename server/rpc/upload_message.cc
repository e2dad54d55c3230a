#include "server/rpc/upload_message.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <utility>

#include "storage/base/chunk_message.h"
#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

// Bytes in more pieces than these are copied into one.
constexpr size_t kMaxPieces = 1024;

std::string_view View(const grpc::Slice& slice) {
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

}  // namespace

absl::StatusOr<UploadMessage> UploadMessage::Parse(const grpc::ByteBuffer& buffer) {
  UploadMessage message;
  message.buffer_ = buffer;
  if (buffer.Dump(&message.slices_).ok() && message.TakeChunk()) return message;
  if (absl::Status status = message.TakeAny(buffer); !status.ok()) return status;
  return message;
}

bool UploadMessage::TakeChunk() {
  if (slices_.size() > kMaxPieces) return false;
  for (const grpc::Slice& slice : slices_) data_.push_back(View(slice));
  if (TakeChunkHeader(v1::UploadRequest::kChunkFieldNumber, data_, *request_.mutable_chunk())) {
    return true;
  }
  data_.clear();
  return false;
}

absl::Status UploadMessage::TakeAny(const grpc::ByteBuffer& buffer) {
  grpc::ByteBuffer copy = buffer;
  const grpc::Status parsed =
      grpc::SerializationTraits<v1::UploadRequest>::Deserialize(&copy, &request_);
  if (!parsed.ok()) return ProtocolViolation("the message is no UploadRequest");
  slices_.clear();
  if (!request_.has_chunk() || request_.chunk().data().empty()) return absl::OkStatus();
  slices_.emplace_back(request_.chunk().data());
  request_.mutable_chunk()->clear_data();
  data_.push_back(View(slices_.front()));
  return absl::OkStatus();
}

}  // namespace ckpt::server
