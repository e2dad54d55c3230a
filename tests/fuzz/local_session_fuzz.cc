// A trainer at the local socket that does anything in any order, and then goes: every request is
// answered once, in whatever order, or the connection ends with a reason; and when it has ended,
// nothing of it is left: no slot, no descriptor. Input: two bytes a step, what and how.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <string>

#include "server/local/local_connection.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/unit/server/local/server_rig.h"

namespace {

using ckpt::UniqueFd;
using ckpt::fuzz::Check;
using namespace ckpt::server;  // NOLINT(google-build-using-namespace): its subject
namespace v1 = ckpt::v1;
using boost::asio::local::stream_protocol;

constexpr size_t kMaxSteps = 24;
constexpr char kToken[] = "the token";
constexpr int64_t kSlotBytes = 5000;

UniqueFd Memory(int seals, bool sealable = true) {
  UniqueFd file(memfd_create("fuzz", MFD_CLOEXEC | (sealable ? MFD_ALLOW_SEALING : 0U)));
  Check(ftruncate(file.get(), kSlotHeaderBytes + kSlotBytes) == 0, "memory can be had");
  if (sealable) Check(fcntl(file.get(), F_ADD_SEALS, seals) == 0, "it can be sealed");
  return file;
}

// The trainer's descriptors; made once.
struct Descriptors {
  UniqueFd sealed = Memory(F_SEAL_SHRINK | F_SEAL_GROW);
  UniqueFd unsealed = Memory(0);
  UniqueFd half_sealed = Memory(F_SEAL_GROW);
  UniqueFd file = Memory(0, /*sealable=*/false);
  UniqueFd device{open("/dev/zero", O_RDONLY | O_CLOEXEC)};
  UniqueFd folder{open("/", O_RDONLY | O_CLOEXEC)};

  int Pick(uint8_t how) const {
    const int all[] = {-1,         sealed.get(), sealed.get(), unsealed.get(), half_sealed.get(),
                       file.get(), file.get(),   device.get(), folder.get()};
    return all[how % std::size(all)];
  }
};

v1::LocalConfig Config() {
  v1::LocalConfig config;
  config.set_max_slots(3);
  config.set_max_trainer_mib(1);
  config.set_max_total_mib(1);
  config.set_max_connections(1);
  return config;
}

class Session {
 public:
  Session(ServerRig& rig, const Descriptors& descriptors)
      : descriptors_(descriptors),
        services_{Config(), kToken, SlotMemory(1 << 20), {rig.context(), /*at_once=*/1}} {
    int ends[2];
    Check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "sockets can be had");
    peer_ = UniqueFd(ends[0]);
    std::make_shared<LocalConnection>(LocalConnection::Socket(io_, stream_protocol(), ends[1]),
                                      services_)
        ->Start();
  }

  void Step(uint8_t what, uint8_t how) {
    v1::LocalRequest request;
    request.set_id(++last_id_);
    switch (what % 10) {
      case 0:
        request.mutable_hello()->set_token(how % 8 == 0 ? "another" : kToken);
        request.mutable_hello()->set_client(std::string(how % 5 == 0 ? 257 : 3, 'c'));
        break;
      case 1:
        request.mutable_register_slot()->set_slot(how % 4);
        request.mutable_register_slot()->set_size(how % 7 == 0 ? INT64_MAX - how : kSlotBytes);
        return Send(Frame(request), descriptors_.Pick(how));
      case 2:
        request.mutable_release_slot()->set_slot(how % 4);
        break;
      case 3:
      case 4:
        *request.mutable_submit() = Part(how);
        return Send(Frame(request), what % 10 == 3 ? -1 : descriptors_.Pick(how));
      case 5:
        return SetGeneration(how % 8);
      case 6:
        whole_frames_ = false;
        return Send(std::string(how % 9, static_cast<char>(how)), descriptors_.Pick(how / 9));
      case 7:
        whole_frames_ = false;
        return Send(Frame(request).substr(0, how % 12), descriptors_.Pick(how));
      case 8:
        return Send(Frame(request), descriptors_.Pick(how), 1 + how % 6);
      default:
        io_.poll();
        return;
    }
    Send(Frame(request), -1);
  }

  // The trainer goes, after or before it has read its answers.
  void End(bool reads_first) {
    if (!reads_first) peer_ = UniqueFd();
    if (peer_.valid()) shutdown(peer_.get(), SHUT_WR);
    while (services_.connections > 0) io_.run_one();
    Check(services_.slot_memory.grants() == 0, "no slot is left");
    Check(services_.slot_memory.taken() == 0, "no memory is left");
    if (peer_.valid()) CheckAnswers();
  }

 private:
  static std::string Frame(const v1::LocalRequest& request) {
    const std::string body = request.SerializeAsString();
    std::string frame;
    for (int i = 0; i < 4; ++i) frame.push_back(static_cast<char>(body.size() >> 8 * i));
    return frame + body;
  }

  static v1::SubmitPart Part(uint8_t how) {
    v1::SubmitPart part;
    part.mutable_start()->mutable_staged()->set_run(how % 16 == 15 ? "runs/none" : "runs/r");
    part.mutable_start()->mutable_staged()->set_stage_id(how % 2 == 0 ? "a" : "b");
    part.mutable_start()->set_size(how % 3 == 0 ? kSlotBytes : kSlotBytes + kSlotHeaderBytes);
    part.set_generation(how % 4 == 0 ? 2 : 0);
    if (how % 5 == 0) part.mutable_file();
    if (how % 5 != 0 && how % 11 != 0) part.set_slot(how % 4);
    if (how % 13 == 0) part.set_xxh3_128(std::string(how % 2 == 0 ? 16 : 5, 'x'));
    return part;
  }

  void SetGeneration(uint64_t generation) {
    Check(pwrite(descriptors_.sealed.get(), &generation, sizeof generation, 0) == sizeof generation,
          "the trainer writes its slot");
  }

  void Send(const std::string& bytes, int descriptor, int descriptors = 1) {
    if (bytes.empty()) return;
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
    sendmsg(peer_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);  // it may have ended
  }

  void CheckAnswers() {
    std::map<uint64_t, int> answers;
    std::string bytes(1 << 20, '\0');
    const ssize_t got = recv(peer_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    std::string_view left(bytes.data(), static_cast<size_t>(std::max<ssize_t>(got, 0)));
    while (!left.empty()) {
      uint32_t size = 0;
      Check(left.size() >= sizeof size, "answers are whole");
      std::memcpy(&size, left.data(), sizeof size);
      left.remove_prefix(sizeof size);
      v1::LocalResponse response;
      Check(left.size() >= size && response.ParseFromArray(left.data(), static_cast<int>(size)),
            "answers are messages");
      left.remove_prefix(size);
      Check(response.message_case() != v1::LocalResponse::MESSAGE_NOT_SET, "answers say something");
      Check(response.id() != 0 || response.has_error(), "what ends a connection is an error");
      // After half a frame the rest of the next is whatever it is, and so are its ids.
      if (response.id() != 0 && !whole_frames_) continue;
      Check(response.id() <= last_id_, "answers belong to a request");
      Check(++answers[response.id()] == 1, "a request is answered once");
    }
  }

  const Descriptors& descriptors_;
  LocalServices services_;
  boost::asio::io_context io_;
  // Parts that are being stored come back.
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_ =
      boost::asio::make_work_guard(io_);
  UniqueFd peer_;
  uint64_t last_id_ = 0;
  bool whole_frames_ = true;  // nothing else has been sent
};

// But for those of the store, whose index opens and closes files as it likes.
int64_t OpenDescriptors(const std::string& store) {
  int64_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // that of the iteration
    const std::string path = std::filesystem::read_symlink(entry.path(), gone);
    if (!path.starts_with(store)) ++count;
  }
  return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static ServerRig& rig = *new ServerRig(1);
  static const Descriptors& descriptors = *new Descriptors();
  const uint64_t none = 0;
  Check(pwrite(descriptors.sealed.get(), &none, sizeof none, 0) == sizeof none, "a slot is new");
  const int64_t before = OpenDescriptors(rig / "data");
  {
    Session session(rig, descriptors);
    for (size_t i = 0; i + 1 < std::min(size, 2 * kMaxSteps); i += 2) {
      session.Step(data[i], data[i + 1]);
    }
    session.End(/*reads_first=*/size % 2 == 0);
  }
  for (const char* stage : {"a", "b"}) {
    Check(rig.store().Discard("r", "", stage).ok(), "what was staged can be discarded");
  }
  Check(OpenDescriptors(rig / "data") == before, "no descriptor is left");
  return 0;
}
