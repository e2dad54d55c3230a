// A trainer's end of the local socket, by hand: what a client library does, and what it must not
// do.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ckpt/v1/local.pb.h"
#include "storage/base/unique_fd.h"

namespace ckpt::wire {

// Memory made as the protocol wants it, and as `seals` and `bytes` say otherwise.
class PeerSlot {
 public:
  explicit PeerSlot(int64_t size, bool sealed = true, int64_t bytes_less = 0);
  ~PeerSlot();
  PeerSlot(const PeerSlot&) = delete;
  PeerSlot& operator=(const PeerSlot&) = delete;

  int fd() const { return fd_.get(); }
  int64_t size() const { return size_; }
  // The generation is odd meanwhile; gives the one after it.
  uint64_t Write(std::string_view content);
  void SetGeneration(uint64_t generation);
  char* content() { return mapping_ + 4096; }

 private:
  const int64_t size_;
  const int64_t bytes_;
  UniqueFd fd_;
  char* mapping_;
  uint64_t generation_ = 0;
};

class LocalPeer {
 public:
  explicit LocalPeer(const std::string& path);

  bool connected() const { return connected_; }
  bool SendBytes(std::string_view bytes, int descriptor = -1, int descriptors = 1);
  // Sends what fits into the buffers, and gives its size. Waits a moment for room.
  size_t SendSome(std::string_view bytes);
  // Gives the request an id unless it has one.
  bool Send(v1::LocalRequest request, int descriptor = -1);
  // The next answer; nothing once the daemon has closed.
  std::optional<v1::LocalResponse> Read();
  // Sends, and reads the answer.
  std::optional<v1::LocalResponse> Ask(v1::LocalRequest request, int descriptor = -1);
  bool Hello(const std::string& token);
  std::optional<v1::LocalResponse> Register(uint32_t slot, const PeerSlot& memory);

 private:
  UniqueFd socket_;
  bool connected_ = false;
  uint64_t last_id_ = 0;
};

// Reason of an answer's error; "" if it is none, "closed" if there is no answer.
std::string ReasonOf(const std::optional<v1::LocalResponse>& response);
std::string EncodeFrame(const v1::LocalRequest& request);

}  // namespace ckpt::wire
