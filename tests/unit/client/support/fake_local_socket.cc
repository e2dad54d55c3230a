#include "tests/unit/client/support/fake_local_socket.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/cord.h"
#include "storage/base/errors.h"

namespace ckpt::testing {
namespace {

constexpr int64_t kHeaderBytes = 4096;

// A frame, with its descriptor in `fd`.
bool ReadFrame(int socket, v1::LocalRequest& request, UniqueFd& fd) {
  uint32_t length = 0;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec data{&length, sizeof length};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (recvmsg(socket, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC) != ssize_t{sizeof length}) {
    return false;
  }
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr) {
    int received = -1;
    std::memcpy(&received, CMSG_DATA(header), sizeof received);
    fd = UniqueFd(received);
  }
  std::string bytes(length, '\0');
  return recv(socket, bytes.data(), length, MSG_WAITALL) == static_cast<ssize_t>(length) &&
         request.ParseFromString(bytes);
}

void WriteFrame(int socket, const v1::LocalResponse& response) {
  const std::string bytes = response.SerializeAsString();
  const auto length = static_cast<uint32_t>(bytes.size());
  const std::string frame =
      std::string(reinterpret_cast<const char*>(&length), sizeof length) + bytes;
  send(socket, frame.data(), frame.size(), MSG_NOSIGNAL);
}

}  // namespace

FakeLocalSocket::FakeLocalSocket(const std::string& path, std::string token, Answer answer)
    : path_(path),
      token_(std::move(token)),
      answer_(std::move(answer)),
      listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
  path_.copy(name.sun_path, sizeof name.sun_path - 1);
  unlink(path_.c_str());
  if (bind(listener_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 ||
      listen(listener_.get(), 8) != 0) {
    std::abort();
  }
  thread_ = std::thread([this] { Serve(); });
}

FakeLocalSocket::~FakeLocalSocket() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    shutdown(listener_.get(), SHUT_RDWR);
    if (connection_ >= 0) shutdown(connection_, SHUT_RDWR);
  }
  thread_.join();
  unlink(path_.c_str());
}

void FakeLocalSocket::Break() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return connection_ >= 0; });
  shutdown(connection_, SHUT_RDWR);
  changed_.wait(lock, [this] { return connection_ < 0; });
}

void FakeLocalSocket::Send(const v1::LocalResponse& response) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return std::any_of(requests_.begin(), requests_.end(), [&](const v1::LocalRequest& request) {
      return request.id() == response.id();
    });
  });
  WriteFrame(connection_, response);
}

std::map<std::string, std::string> FakeLocalSocket::AwaitSubmits(size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return submits_ >= count; });
  return submitted_;
}

std::vector<v1::LocalRequest> FakeLocalSocket::requests() {
  std::lock_guard lock(mutex_);
  return requests_;
}

std::optional<v1::LocalResponse> FakeLocalSocket::Stored(const v1::LocalRequest& request) {
  v1::LocalResponse response;
  response.set_id(request.id());
  if (request.has_hello()) response.mutable_welcome();
  if (request.has_register_slot()) response.mutable_slot_registered();
  if (request.has_release_slot()) response.mutable_slot_released();
  if (request.has_submit()) {
    v1::Checkpoint& checkpoint = *response.mutable_stored()->mutable_checkpoint();
    checkpoint.set_name(request.submit().start().save());
    checkpoint.set_state(v1::Checkpoint::STATE_COMMITTED);
  }
  return response;
}

std::optional<v1::LocalResponse> FakeLocalSocket::Error(const v1::LocalRequest& request,
                                                        const absl::Status& error) {
  v1::LocalResponse response;
  response.set_id(request.id());
  response.mutable_error()->set_code(static_cast<int>(error.code()));
  response.mutable_error()->set_message(std::string(MessageOf(error)));
  if (const auto info = error.GetPayload(kErrorInfoUrl)) {
    google::protobuf::Any& detail = *response.mutable_error()->add_details();
    detail.set_type_url(kErrorInfoUrl);
    detail.set_value(std::string(*info));
  }
  return response;
}

void FakeLocalSocket::Serve() {
  while (true) {
    const UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    {
      std::lock_guard lock(mutex_);
      if (stopping_ || !socket.valid()) return;
      connection_ = socket.get();
      slots_.clear();
    }
    ServeConnection(socket.get());
    std::lock_guard lock(mutex_);
    connection_ = -1;
    changed_.notify_all();
  }
}

void FakeLocalSocket::ServeConnection(int socket) {
  v1::LocalRequest request;
  UniqueFd fd;
  while (ReadFrame(socket, request, fd)) {
    const auto answer = Take(request, std::move(fd));
    fd = UniqueFd();
    std::lock_guard lock(mutex_);
    if (answer.has_value()) WriteFrame(socket, *answer);
    if (answer.has_value() && answer->id() == 0) return;
  }
}

std::optional<v1::LocalResponse> FakeLocalSocket::Take(const v1::LocalRequest& request,
                                                       UniqueFd fd) {
  std::lock_guard lock(mutex_);
  requests_.push_back(request);
  changed_.notify_all();
  if (request.has_hello() && request.hello().token() != token_) {
    auto refused = Error(request, absl::PermissionDeniedError("another daemon's token"));
    refused->set_id(0);
    return refused;
  }
  if (request.has_register_slot()) slots_[request.register_slot().slot()] = std::move(fd);
  if (request.has_submit()) {
    const auto slot = slots_.find(request.submit().slot());
    if (slot == slots_.end()) return Error(request, FieldInvalid("slot", "", "not registered"));
    std::string content(static_cast<size_t>(request.submit().start().size()), '\0');
    pread(slot->second.get(), content.data(), content.size(), kHeaderBytes);
    submitted_[request.submit().start().part()] = content;
    ++submits_;
  }
  return answer_ ? answer_(request) : Stored(request);
}

}  // namespace ckpt::testing
