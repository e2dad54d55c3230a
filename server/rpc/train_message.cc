#include "server/rpc/train_message.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

using google::protobuf::internal::WireFormatLite;

constexpr uint32_t kEventsTag = WireFormatLite::MakeTag(v1::TrainRequest::kEventsFieldNumber,
                                                        WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

// Whether `reader`, of `bytes` bytes, holds a batch of events and nothing else; it is at the batch
// then.
bool FindEvents(grpc::ProtoBufferReader& reader, size_t bytes) {
  google::protobuf::io::CodedInputStream input(&reader);
  uint32_t size = 0;
  return input.ReadTagNoLastTag() == kEventsTag && input.ReadVarint32(&size) &&
         static_cast<size_t>(input.CurrentPosition()) + size == bytes;
}

}  // namespace

absl::Status ParseTrainRequest(grpc::ByteBuffer& buffer, v1::TrainRequest& request,
                               v1::EventBatch& events) {
  grpc::ProtoBufferReader reader(&buffer);
  if (reader.status().ok() && FindEvents(reader, buffer.Length())) {
    request.mutable_events();
    if (events.ParseFromZeroCopyStream(&reader)) return absl::OkStatus();
  }
  const grpc::Status parsed =
      grpc::SerializationTraits<v1::TrainRequest>::Deserialize(&buffer, &request);
  if (!parsed.ok()) return ProtocolViolation("the message is no TrainRequest");
  if (request.has_events()) {
    events.Clear();
    events.Swap(request.mutable_events());
  }
  return absl::OkStatus();
}

}  // namespace ckpt::server
