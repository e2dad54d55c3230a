#include "server/local/local_connection.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "server/error_details.h"
#include "server/local/file_content.h"
#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::chrono::seconds kHelloTimeout(10);
constexpr size_t kMaxDescriptors = 4;  // received at once, to be refused if more than one
constexpr size_t kMaxClientBytes = 256;
constexpr int64_t kMaxSlotBytes = int64_t{1} << 60;

v1::LocalResponse Response(uint64_t id) {
  v1::LocalResponse response;
  response.set_id(id);
  return response;
}

}  // namespace

absl::Status CheckUser(uint32_t peer, uint32_t own, const v1::LocalConfig& config) {
  const auto& allowed = config.allow_uids();
  if (peer == own || peer == 0 || std::find(allowed.begin(), allowed.end(), peer) != allowed.end())
    return absl::OkStatus();
  return absl::PermissionDeniedError(
      fmt::format("user {} may not connect: ckptd runs as user {}; local.allow_uids lets others in",
                  peer, own));
}

LocalConnection::LocalConnection(Socket socket, LocalServices& services)
    : socket_(std::move(socket)), hello_timer_(socket_.get_executor()), services_(services) {
  ++services_.connections;
}

LocalConnection::~LocalConnection() { --services_.connections; }

void LocalConnection::Start() {
  if (absl::Status status = CheckPeer(); !status.ok()) return Refuse(status);
  hello_timer_.expires_after(kHelloTimeout);
  hello_timer_.async_wait([weak = weak_from_this()](error_code error) {
    const auto self = weak.lock();
    if (!error && self != nullptr && !self->welcomed_) {
      self->Refuse(ProtocolViolation("no hello came"));
    }
  });
  Read();
}

void LocalConnection::Stop() {
  stopped_ = true;
  error_code ignored;
  hello_timer_.cancel();
  socket_.shutdown(Socket::shutdown_receive, ignored);
}

absl::Status LocalConnection::CheckPeer() {
  const int limit = services_.config.max_connections();
  if (services_.connections > limit) {
    return LimitExceeded("connections at the local socket", static_cast<uint64_t>(limit),
                         static_cast<uint64_t>(services_.connections));
  }
  ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(socket_.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return FileError("SO_PEERCRED", "local socket", errno);
  }
  return CheckUser(peer.uid, geteuid(), services_.config);
}

// ---- Reading.

void LocalConnection::Read() {
  if (stopped_ || waiting_ || pending_ >= kMaxPending) return;
  waiting_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](error_code error) {
    self->waiting_ = false;
    if (!error) self->Receive();
  });
}

void LocalConnection::Receive() {
  std::array<char, kMaxFrameBytes> bytes;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxDescriptors * sizeof(int))> control;
  // The descriptor of a frame that has not wholly come must not meet that of the next one.
  const size_t room = descriptor_.valid() ? reader_.Missing() : bytes.size();
  iovec data{bytes.data(), std::min(room, bytes.size())};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = recvmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Read();
  if (got <= 0) {  // the peer has gone: what it has submitted goes on
    stopped_ = true;
    slots_.clear();
    hello_timer_.cancel();
    return;
  }
  if (absl::Status status = TakeDescriptors(message); !status.ok()) return Refuse(status);
  if (stopped_) return;
  reader_.Feed({bytes.data(), static_cast<size_t>(got)});
  Process();
}

absl::Status LocalConnection::TakeDescriptors(const msghdr& message) {
  bool too_many = (message.msg_flags & MSG_CTRUNC) != 0;
  auto* next = const_cast<msghdr*>(&message);  // CMSG_NXTHDR changes nothing
  for (cmsghdr* header = CMSG_FIRSTHDR(next); header != nullptr;
       header = CMSG_NXTHDR(next, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(header) + i * sizeof number, sizeof number);
      UniqueFd descriptor(number);  // closed unless it is kept
      too_many = too_many || descriptor_.valid();
      if (!descriptor_.valid()) descriptor_ = std::move(descriptor);
    }
  }
  return too_many ? ProtocolViolation("more than one descriptor came with a frame")
                  : absl::OkStatus();
}

void LocalConnection::Process() {
  while (!stopped_ && pending_ < kMaxPending) {
    auto request = reader_.Next();
    if (!request.ok()) return Refuse(request.status());
    if (!request->has_value()) {
      if (descriptor_.valid() && reader_.AtBoundary()) {
        return Refuse(ProtocolViolation("a descriptor came with a frame that takes none"));
      }
      break;
    }
    ++pending_;
    if (absl::Status status = Take(**request); !status.ok()) return Refuse(status);
  }
  Read();
}

// An error ends the connection.
absl::Status LocalConnection::Take(v1::LocalRequest& request) {
  if (request.has_hello()) return OnHello(request.id(), request.hello());
  if (!welcomed_) return ProtocolViolation("the first message must be hello");
  if (request.id() == 0) return ProtocolViolation("the id of a request must be above 0");
  v1::LocalResponse response = Response(request.id());
  absl::Status status;
  switch (request.message_case()) {
    case v1::LocalRequest::kRegisterSlot:
      status = Register(request.register_slot());
      response.mutable_slot_registered();
      break;
    case v1::LocalRequest::kReleaseSlot:
      status = Release(request.release_slot());
      response.mutable_slot_released();
      break;
    case v1::LocalRequest::kSubmit:
      OnSubmit(request.id(), *request.mutable_submit());
      return absl::OkStatus();
    default:
      return ProtocolViolation(
          "the message holds none of hello, register_slot, release_slot, submit");
  }
  if (!status.ok()) {
    AnswerError(request.id(), status);
  } else {
    Answer(std::move(response));
  }
  return absl::OkStatus();
}

absl::Status LocalConnection::OnHello(uint64_t id, const v1::LocalHello& hello) {
  if (welcomed_) return ProtocolViolation("hello was sent already");
  if (hello.token() != services_.token) {
    return absl::PermissionDeniedError(
        "the token is not that of this daemon; connect with the one of the newest Welcome");
  }
  if (hello.client().size() > kMaxClientBytes) {
    return LimitExceeded("bytes of client", kMaxClientBytes, hello.client().size());
  }
  welcomed_ = true;
  hello_timer_.cancel();
  v1::LocalResponse response = Response(id);
  response.mutable_welcome()->set_max_slots(services_.config.max_slots());
  response.mutable_welcome()->set_max_bytes(int64_t{services_.config.max_trainer_mib()} << 20);
  Answer(std::move(response));
  return absl::OkStatus();
}

// ---- Slots.

absl::Status LocalConnection::CheckRoom(int64_t bytes) const {
  const auto max_slots = static_cast<size_t>(services_.config.max_slots());
  if (slots_.size() + files_ >= max_slots) {
    return LimitExceeded("slots of one trainer", max_slots, slots_.size() + files_ + 1);
  }
  const int64_t max_bytes = int64_t{services_.config.max_trainer_mib()} << 20;
  if (bytes > max_bytes - bytes_) {
    return LimitExceeded("bytes in slots of one trainer", static_cast<uint64_t>(max_bytes),
                         static_cast<uint64_t>(bytes_) + static_cast<uint64_t>(bytes));
  }
  return absl::OkStatus();
}

absl::Status LocalConnection::Register(const v1::RegisterSlot& request) {
  const UniqueFd memfd = std::move(descriptor_);
  const std::string slot = std::to_string(request.slot());
  if (!memfd.valid()) return FieldInvalid("register_slot", slot, "no descriptor came with it");
  if (slots_.contains(request.slot())) {
    return FieldInvalid("register_slot", slot, "a slot of this number is registered");
  }
  // What is no size at all is for Map to refuse.
  const int64_t bytes = std::clamp<int64_t>(request.size(), 0, kMaxSlotBytes) + kSlotHeaderBytes;
  if (absl::Status status = CheckRoom(bytes); !status.ok()) return status;
  auto mapped = Slot::Map(memfd, request.size(), services_.slot_memory);
  if (!mapped.ok()) return mapped.status();
  bytes_ += bytes;
  slots_[request.slot()].slot = *std::move(mapped);
  return absl::OkStatus();
}

absl::Status LocalConnection::Release(const v1::ReleaseSlot& request) {
  const auto found = slots_.find(request.slot());
  const std::string slot = std::to_string(request.slot());
  if (found == slots_.end()) return FieldInvalid("release_slot", slot, "it is not registered");
  if (found->second.busy) {
    return FieldInvalid("release_slot", slot, "it holds a part that is not answered");
  }
  bytes_ -= kSlotHeaderBytes + found->second.slot->size();
  slots_.erase(found);
  return absl::OkStatus();
}

// ---- Parts.

absl::StatusOr<std::shared_ptr<const storage::Content>> LocalConnection::ContentOf(
    const v1::SubmitPart& submit) {
  const int64_t size = submit.start().size();
  if (size < 0) return FieldInvalid("start.size", std::to_string(size), "it must not be negative");
  if (submit.has_file()) return FileOf(submit);
  const std::string slot = std::to_string(submit.slot());
  const auto found = slots_.find(submit.slot());
  if (!submit.has_slot()) return FieldInvalid("submit.source", "", "it must be a slot or a file");
  if (found == slots_.end()) return FieldInvalid("submit.slot", slot, "it is not registered");
  const Slot& memory = *found->second.slot;
  if (found->second.busy) {
    return FieldInvalid("submit.slot", slot, "it holds a part that is not answered");
  }
  if (size > memory.size()) {
    return FieldInvalid("start.size", std::to_string(size),
                        fmt::format("slot {} has {} bytes", slot, memory.size()));
  }
  const uint64_t generation = memory.generation();
  if (submit.generation() % 2 != 0 || submit.generation() != generation) {
    return FieldInvalid("submit.generation", std::to_string(submit.generation()),
                        fmt::format("it must be even, and that of the slot, {}", generation));
  }
  found->second.busy = true;
  return std::make_shared<SlotContent>(found->second.slot, size, generation);
}

absl::StatusOr<std::shared_ptr<const storage::Content>> LocalConnection::FileOf(
    const v1::SubmitPart& submit) {
  UniqueFd file = std::move(descriptor_);
  const int64_t size = submit.start().size();
  if (!file.valid()) return FieldInvalid("submit", "file", "no descriptor came with it");
  if (absl::Status status = CheckRoom(size); !status.ok()) return status;
  auto content = FileContent::Open(std::move(file), size, services_.slot_memory);
  if (!content.ok()) return content.status();
  ++files_;
  bytes_ += size;
  return std::shared_ptr<const storage::Content>(*std::move(content));
}

// The part is answered.
void LocalConnection::LetGo(const v1::SubmitPart& submit) {
  if (submit.has_file()) {
    --files_;
    bytes_ -= submit.start().size();
  } else if (const auto found = slots_.find(submit.slot()); found != slots_.end()) {
    found->second.busy = false;
  }
}

void LocalConnection::OnSubmit(uint64_t id, v1::SubmitPart& submit) {
  auto content = ContentOf(submit);
  if (!content.ok()) return AnswerError(id, content.status());
  services_.submitter.Submit(
      {submit.start(), *std::move(content), submit.xxh3_128(), submit.has_slot()},
      [self = shared_from_this(), id, submit](absl::StatusOr<v1::UploadFinished> finished) mutable {
        const auto executor = self->socket_.get_executor();
        // Moved, so that the last hold on the connection is never that of another thread.
        asio::post(executor, [self = std::move(self), id, submit = std::move(submit),
                              finished = std::move(finished)]() mutable {
          self->LetGo(submit);
          if (!finished.ok()) return self->AnswerError(id, finished.status());
          v1::LocalResponse response = Response(id);
          *response.mutable_stored() = *std::move(finished);
          self->Answer(std::move(response));
        });
      });
}

// ---- Answers.

void LocalConnection::AnswerError(uint64_t id, const absl::Status& status) {
  v1::LocalResponse response = Response(id);
  *response.mutable_error() = ErrorDetails(status);
  Answer(std::move(response));
}

void LocalConnection::Refuse(const absl::Status& why) {
  spdlog::debug("local socket: a connection is closed: {}", MessageOf(why));
  Stop();
  AnswerError(0, why);
}

void LocalConnection::Answer(v1::LocalResponse response) {
  if (mute_) {
    --pending_;
    return asio::post(socket_.get_executor(), [self = shared_from_this()] { self->Process(); });
  }
  unsent_.push_back(EncodeFrame(response));
  if (unsent_.size() == 1) WriteNext();
}

void LocalConnection::WriteNext() {
  asio::async_write(socket_, asio::buffer(unsent_.front()),
                    [self = shared_from_this()](error_code error, size_t) {
                      self->mute_ = self->mute_ || error;
                      const size_t done = self->mute_ ? self->unsent_.size() : 1;
                      self->pending_ -= static_cast<int>(done);
                      self->unsent_.erase(self->unsent_.begin(),
                                          self->unsent_.begin() + static_cast<int64_t>(done));
                      if (!self->unsent_.empty()) self->WriteNext();
                      if (!self->stopped_) self->Process();
                    });
}

}  // namespace ckpt::server
