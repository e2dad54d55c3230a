#include "server/local/frame.h"

#include <fmt/format.h>

#include <cstdint>
#include <utility>

#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

constexpr size_t kLengthBytes = 4;

size_t DecodeLength(std::string_view bytes) {
  size_t length = 0;
  for (size_t i = kLengthBytes; i-- > 0;) length = length << 8 | static_cast<uint8_t>(bytes[i]);
  return length;
}

}  // namespace

std::string EncodeFrame(const v1::LocalResponse& message) {
  const size_t length = message.ByteSizeLong();
  std::string frame;
  frame.reserve(kLengthBytes + length);
  for (size_t i = 0; i < kLengthBytes; ++i) frame.push_back(static_cast<char>(length >> 8 * i));
  message.AppendToString(&frame);
  return frame;
}

size_t FrameReader::Missing() const {
  if (buffer_.size() < kLengthBytes) return kLengthBytes - buffer_.size();
  const size_t frame = kLengthBytes + DecodeLength(buffer_);
  return frame > buffer_.size() ? frame - buffer_.size() : 1;
}

absl::StatusOr<std::optional<v1::LocalRequest>> FrameReader::Next() {
  if (buffer_.size() < kLengthBytes) return std::nullopt;
  const size_t length = DecodeLength(buffer_);
  if (length > kMaxFrameBytes) {
    return ProtocolViolation(
        fmt::format("a frame of {} bytes; at most {} are taken", length, kMaxFrameBytes));
  }
  if (buffer_.size() < kLengthBytes + length) return std::nullopt;
  v1::LocalRequest request;
  if (!request.ParseFromArray(buffer_.data() + kLengthBytes, static_cast<int>(length))) {
    return ProtocolViolation("a frame that holds no LocalRequest");
  }
  buffer_.erase(0, kLengthBytes + length);
  return request;
}

}  // namespace ckpt::server
