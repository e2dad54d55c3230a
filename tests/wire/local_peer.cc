#include "tests/wire/local_peer.h"

#include <fcntl.h>
#include <google/rpc/error_details.pb.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <utility>

namespace ckpt::wire {

PeerSlot::PeerSlot(int64_t size, bool sealed, int64_t bytes_less)
    : size_(size),
      bytes_(4096 + size - bytes_less),
      fd_(memfd_create("slot", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
  EXPECT_EQ(ftruncate(fd_.get(), bytes_), 0);
  if (sealed) {
    EXPECT_EQ(fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  }
  mapping_ = static_cast<char*>(
      mmap(nullptr, static_cast<size_t>(bytes_), PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0));
  EXPECT_NE(mapping_, MAP_FAILED);
}

PeerSlot::~PeerSlot() { munmap(mapping_, static_cast<size_t>(bytes_)); }

uint64_t PeerSlot::Write(std::string_view content) {
  SetGeneration(generation_ + 1);
  content.copy(this->content(), content.size());
  SetGeneration(generation_ + 1);
  return generation_;
}

void PeerSlot::SetGeneration(uint64_t generation) {
  generation_ = generation;
  __atomic_store_n(reinterpret_cast<uint64_t*>(mapping_), generation, __ATOMIC_RELEASE);
}

LocalPeer::LocalPeer(const std::string& path)
    : socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(name.sun_path, sizeof name.sun_path - 1);
  connected_ = connect(socket_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
}

bool LocalPeer::SendBytes(std::string_view bytes, int descriptor, int descriptors) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(8 * sizeof(int))> control{};
  iovec data{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    const size_t size = static_cast<size_t>(descriptors) * sizeof(int);
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    for (int i = 0; i < descriptors; ++i) {
      std::memcpy(CMSG_DATA(header) + static_cast<size_t>(i) * sizeof(int), &descriptor,
                  sizeof(int));
    }
  }
  return sendmsg(socket_.get(), &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

size_t LocalPeer::SendSome(std::string_view bytes) {
  pollfd room{socket_.get(), POLLOUT, 0};
  if (poll(&room, 1, /*milliseconds=*/500) != 1) return 0;
  const ssize_t sent = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent > 0 ? static_cast<size_t>(sent) : 0;
}

std::string EncodeFrame(const v1::LocalRequest& request) {
  const std::string body = request.SerializeAsString();
  std::string frame;
  for (int i = 0; i < 4; ++i) frame.push_back(static_cast<char>(body.size() >> 8 * i));
  return frame + body;
}

bool LocalPeer::Send(v1::LocalRequest request, int descriptor) {
  if (request.id() == 0) request.set_id(++last_id_);
  return SendBytes(EncodeFrame(request), descriptor);
}

std::optional<v1::LocalResponse> LocalPeer::Read() {
  const auto read = [this](size_t size) {
    std::string bytes(size, '\0');
    const ssize_t got = recv(socket_.get(), bytes.data(), size, MSG_WAITALL);
    return got == static_cast<ssize_t>(size) ? std::optional(bytes) : std::nullopt;
  };
  const auto length = read(4);
  if (!length) return std::nullopt;
  uint32_t size = 0;
  std::memcpy(&size, length->data(), sizeof size);
  const auto body = read(size);
  v1::LocalResponse response;
  if (!body || !response.ParseFromString(*body)) return std::nullopt;
  return response;
}

std::optional<v1::LocalResponse> LocalPeer::Ask(v1::LocalRequest request, int descriptor) {
  request.set_id(++last_id_);
  if (!Send(request, descriptor)) return std::nullopt;
  auto response = Read();
  if (response && response->id() != 0) {
    EXPECT_EQ(response->id(), request.id());
  }
  return response;
}

bool LocalPeer::Hello(const std::string& token) {
  v1::LocalRequest request;
  request.mutable_hello()->set_token(token);
  const auto response = Ask(request);
  return response && response->has_welcome();
}

std::optional<v1::LocalResponse> LocalPeer::Register(uint32_t slot, const PeerSlot& memory) {
  v1::LocalRequest request;
  request.mutable_register_slot()->set_slot(slot);
  request.mutable_register_slot()->set_size(memory.size());
  return Ask(request, memory.fd());
}

std::string ReasonOf(const std::optional<v1::LocalResponse>& response) {
  if (!response) return "closed";
  if (!response->has_error()) return "";
  for (const auto& any : response->error().details()) {
    google::rpc::ErrorInfo info;
    if (any.UnpackTo(&info)) return info.reason();
  }
  return "code " + std::to_string(response->error().code());
}

}  // namespace ckpt::wire
