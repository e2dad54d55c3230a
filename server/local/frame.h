// The framing of the local socket (proto/ckpt/v1/local.proto): pure, no I/O.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "ckpt/v1/local.pb.h"

namespace ckpt::server {

inline constexpr size_t kMaxFrameBytes = 64 << 10;

// The bytes that carry `message`, which is within kMaxFrameBytes.
std::string EncodeFrame(const v1::LocalResponse& message);

// Takes the bytes of a stream as they come, and gives the messages in them. Holds at most one frame
// and what was fed last. Not thread-safe.
class FrameReader {
 public:
  void Feed(std::string_view bytes) { buffer_.append(bytes); }
  // The next message; nothing while it is not complete. PROTOCOL for a frame over kMaxFrameBytes
  // and for one that is no LocalRequest: nothing more can be read then.
  absl::StatusOr<std::optional<v1::LocalRequest>> Next();
  // Bytes that the frame which has begun still needs, as far as that is known: at least 1.
  size_t Missing() const;
  // Whether nothing of a further frame has come.
  bool AtBoundary() const { return buffer_.empty(); }

 private:
  std::string buffer_;
};

}  // namespace ckpt::server
