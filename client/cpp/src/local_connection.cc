#include "client/cpp/src/local_connection.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include "client/cpp/src/rpc_status.h"

namespace ckpt::client {
namespace {

constexpr size_t kLengthBytes = 4;
constexpr int kSendSeconds = 5;
constexpr size_t kMaxAnswerBytes = 4 << 20;

std::atomic<uint64_t> last_serial = 0;

absl::Status Unavailable(std::string_view what, int error) {
  return absl::UnavailableError(
      fmt::format("{}: {}", what, std::generic_category().message(error)));
}

// Sends all of `bytes`, `fd` with the first of them. Returns 0, or an errno.
int SendAll(int socket, std::string_view bytes, int fd) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  while (!bytes.empty()) {
    iovec data{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (fd >= 0) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(header), &fd, sizeof(int));
    }
    const ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(sent));
    fd = -1;
  }
  return 0;
}

std::string EncodeFrame(const v1::LocalRequest& request) {
  const size_t length = request.ByteSizeLong();
  std::string frame;
  for (size_t i = 0; i < kLengthBytes; ++i) frame.push_back(static_cast<char>(length >> 8 * i));
  request.AppendToString(&frame);
  return frame;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LocalConnection>> LocalConnection::Open(const std::string& path,
                                                                       const std::string& token,
                                                                       bool again) {
  sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof name.sun_path) return Unavailable(path, ENAMETOOLONG);
  path.copy(name.sun_path, path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // A daemon that is stopped does not stop its trainers for ever.
  const timeval patience{.tv_sec = kSendSeconds, .tv_usec = 0};
  if (!socket.valid() ||
      setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
      connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    return Unavailable(path, errno);
  }
  std::unique_ptr<LocalConnection> connection(new LocalConnection(std::move(socket), again));
  v1::LocalRequest request;
  request.mutable_hello()->set_token(token);
  request.mutable_hello()->set_client(fmt::format("ckpt-cpp {} (pid {})", CKPT_VERSION, getpid()));
  connection->Cancel(connection->Send(std::move(request), -1, nullptr));
  return connection;
}

LocalConnection::LocalConnection(UniqueFd socket, bool again)
    : serial_(++last_serial),
      socket_(std::move(socket)),
      again_(again),
      reader_([this] { Read(); }) {}

LocalConnection::~LocalConnection() {
  shutdown(socket_.get(), SHUT_RDWR);
  reader_.join();
}

absl::Status LocalConnection::ended() const {
  std::lock_guard lock(mutex_);
  return ended_;
}

uint64_t LocalConnection::Send(v1::LocalRequest request, int fd, std::shared_ptr<const void> held) {
  std::lock_guard sending(sending_);
  {
    std::lock_guard lock(mutex_);
    request.set_id(++last_id_);
    if (!ended_.ok()) return request.id();
    requests_[request.id()].held = std::move(held);
  }
  const int error = SendAll(socket_.get(), EncodeFrame(request), fd);
  // The reader tells why: an answer may still say it.
  if (error != 0) shutdown(socket_.get(), SHUT_WR);
  return request.id();
}

std::optional<v1::LocalResponse> LocalConnection::Await(uint64_t id) {
  std::unique_lock lock(mutex_);
  auto found = requests_.find(id);
  changed_.wait(lock, [&] {
    found = requests_.find(id);
    return found == requests_.end() || found->second.cancelled || found->second.answer.has_value();
  });
  if (found == requests_.end() || !found->second.answer.has_value()) return std::nullopt;
  v1::LocalResponse answer = *std::move(found->second.answer);
  requests_.erase(found);
  return answer;
}

void LocalConnection::Cancel(uint64_t id) {
  std::lock_guard lock(mutex_);
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  if (found->second.answer.has_value()) {
    requests_.erase(found);
  } else {
    found->second.cancelled = true;
  }
  changed_.notify_all();
}

// ---- The reader's thread.

void LocalConnection::Read() {
  while (true) {
    absl::StatusOr<v1::LocalResponse> answer = ReadAnswer();
    if (answer.ok() && answer->id() == 0) answer = FromDetails(answer->error());
    if (again_ && absl::IsPermissionDenied(answer.status())) {
      return End(absl::UnavailableError("ckptd was restarted, and its Welcome has not come yet"));
    }
    if (!answer.ok()) return End(answer.status());
    LetGo(answer->id());
    std::lock_guard lock(mutex_);
    const auto found = requests_.find(answer->id());
    if (found == requests_.end()) continue;
    if (found->second.cancelled) {
      requests_.erase(found);
    } else {
      found->second.answer = *std::move(answer);
    }
    changed_.notify_all();
  }
}

absl::StatusOr<v1::LocalResponse> LocalConnection::ReadAnswer() {
  std::array<uint8_t, kLengthBytes> prefix{};
  if (!ReadBytes(reinterpret_cast<char*>(prefix.data()), prefix.size())) {
    return absl::UnavailableError("ckptd has closed its local socket");
  }
  size_t length = 0;
  for (size_t i = kLengthBytes; i-- > 0;) length = length << 8 | prefix[i];
  if (length > kMaxAnswerBytes) return absl::InternalError("an answer of ckptd is too long");
  std::string bytes(length, '\0');
  v1::LocalResponse answer;
  if (!ReadBytes(bytes.data(), length) || !answer.ParseFromString(bytes)) {
    return absl::UnavailableError("ckptd has closed its local socket amid an answer");
  }
  return answer;
}

bool LocalConnection::ReadBytes(char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t got = recv(socket_.get(), bytes, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

// Before anybody learns of the answer, and outside of the lock: what lets go may take others.
void LocalConnection::LetGo(uint64_t id) {
  std::shared_ptr<const void> held;
  std::lock_guard lock(mutex_);
  const auto found = requests_.find(id);
  if (found != requests_.end()) held = std::move(found->second.held);
}

void LocalConnection::End(const absl::Status& why) {
  shutdown(socket_.get(), SHUT_RDWR);
  std::vector<uint64_t> ids;
  {
    std::lock_guard lock(mutex_);
    ended_ = why;  // from here on none is added
    for (const auto& [id, request] : requests_) ids.push_back(id);
  }
  for (const uint64_t id : ids) LetGo(id);
  std::lock_guard lock(mutex_);
  std::erase_if(requests_, [](const auto& entry) { return !entry.second.answer.has_value(); });
  changed_.notify_all();
}

}  // namespace ckpt::client
