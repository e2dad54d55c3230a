#include "storage/base/chunk_message.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace ckpt {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// More than the fields before a chunk's bytes take.
constexpr size_t kMaxHeader = 64;

constexpr uint32_t Tag(int field, WireFormatLite::WireType type) {
  return static_cast<uint32_t>(field) << 3 | static_cast<uint32_t>(type);
}
constexpr uint32_t kOffset =
    Tag(v1::UploadChunk::kOffsetFieldNumber, WireFormatLite::WIRETYPE_VARINT);
constexpr uint32_t kCrc32c =
    Tag(v1::UploadChunk::kCrc32CFieldNumber, WireFormatLite::WIRETYPE_FIXED32);
constexpr uint32_t kData =
    Tag(v1::UploadChunk::kDataFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

template <typename Write>
std::string Written(Write write) {
  std::string text;
  google::protobuf::io::StringOutputStream stream(&text);
  google::protobuf::io::CodedOutputStream out(&stream);
  write(out);
  out.Trim();
  return text;
}

// Reads up to the bytes, which must be all that follows of a message of `size`. Their offset in the
// message, or 0.
size_t ReadHeader(int field, std::string_view begin, size_t size, v1::UploadChunk& chunk) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(begin.data()),
                      static_cast<int>(begin.size()));
  const auto length_is_rest = [&] {
    uint32_t length = 0;
    return in.ReadVarint32(&length) && static_cast<size_t>(in.CurrentPosition()) + length == size;
  };
  if (in.ReadTag() != Tag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED) || !length_is_rest()) {
    return 0;
  }
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

}  // namespace

std::string ChunkHeader(int field, const v1::UploadChunk& chunk, size_t size) {
  const std::string inner = Written([&](auto& out) {
    out.WriteString(chunk.SerializeAsString());
    out.WriteTag(kData);
    out.WriteVarint32(static_cast<uint32_t>(size));
  });
  return Written([&](auto& out) {
    out.WriteTag(Tag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
    out.WriteVarint32(static_cast<uint32_t>(inner.size() + size));
    out.WriteString(inner);
  });
}

bool TakeChunkHeader(int field, std::vector<std::string_view>& pieces, v1::UploadChunk& chunk) {
  std::array<char, kMaxHeader> begin;
  size_t copied = 0;
  size_t size = 0;
  for (const std::string_view piece : pieces) {
    copied += piece.copy(begin.data() + copied, begin.size() - copied);
    size += piece.size();
  }
  size_t header = ReadHeader(field, {begin.data(), copied}, size, chunk);
  if (header == 0) return false;
  for (std::string_view& piece : pieces) {
    const size_t taken = std::min(header, piece.size());
    piece.remove_prefix(taken);
    header -= taken;
  }
  std::erase_if(pieces, [](std::string_view piece) { return piece.empty(); });
  return true;
}

}  // namespace ckpt
