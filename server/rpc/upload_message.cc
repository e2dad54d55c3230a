#include "server/rpc/upload_message.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// Bytes in more pieces than these are copied into one.
constexpr size_t kMaxPieces = 1024;
// More than the fields before a chunk's bytes take.
constexpr size_t kMaxHeader = 64;

constexpr uint32_t Tag(int field, WireFormatLite::WireType type) {
  return static_cast<uint32_t>(field) << 3 | static_cast<uint32_t>(type);
}
constexpr uint32_t kChunk =
    Tag(v1::UploadRequest::kChunkFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
constexpr uint32_t kOffset =
    Tag(v1::UploadChunk::kOffsetFieldNumber, WireFormatLite::WIRETYPE_VARINT);
constexpr uint32_t kCrc32c =
    Tag(v1::UploadChunk::kCrc32CFieldNumber, WireFormatLite::WIRETYPE_FIXED32);
constexpr uint32_t kData =
    Tag(v1::UploadChunk::kDataFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

// Reads up to the bytes, which must be all that follows of a message of `size`. Their offset in the
// message, or 0.
size_t ReadHeader(std::span<const uint8_t> begin, size_t size, v1::UploadChunk& chunk) {
  CodedInputStream in(begin.data(), static_cast<int>(begin.size()));
  const auto length_is_rest = [&] {
    uint32_t length = 0;
    return in.ReadVarint32(&length) && static_cast<size_t>(in.CurrentPosition()) + length == size;
  };
  if (in.ReadTag() != kChunk || !length_is_rest()) return 0;
  uint64_t offset = 0;
  uint32_t crc32c = 0;
  for (uint32_t tag = in.ReadTag(); tag != kData; tag = in.ReadTag()) {
    const bool read = (tag == kOffset && in.ReadVarint64(&offset)) ||
                      (tag == kCrc32c && in.ReadLittleEndian32(&crc32c));
    if (!read) return 0;
  }
  if (!length_is_rest()) return 0;
  chunk.set_offset(static_cast<int64_t>(offset));
  chunk.set_crc32c(crc32c);
  return static_cast<size_t>(in.CurrentPosition());
}

std::string_view View(const grpc::Slice& slice) {
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

}  // namespace

absl::StatusOr<UploadMessage> UploadMessage::Parse(const grpc::ByteBuffer& buffer) {
  UploadMessage message;
  if (buffer.Dump(&message.slices_).ok() && message.TakeChunk()) return message;
  if (absl::Status status = message.TakeAny(buffer); !status.ok()) return status;
  return message;
}

bool UploadMessage::TakeChunk() {
  if (slices_.size() > kMaxPieces) return false;
  std::array<uint8_t, kMaxHeader> begin;
  size_t copied = 0;
  size_t size = 0;
  for (const grpc::Slice& slice : slices_) {
    const size_t count = std::min(slice.size(), begin.size() - copied);
    std::copy_n(slice.begin(), count, begin.begin() + copied);
    copied += count;
    size += slice.size();
  }
  size_t header = ReadHeader({begin.data(), copied}, size, *request_.mutable_chunk());
  if (header == 0) return false;
  for (const grpc::Slice& slice : slices_) {
    const size_t skipped = std::min(header, slice.size());
    header -= skipped;
    if (skipped < slice.size()) data_.push_back(View(slice).substr(skipped));
  }
  return true;
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
