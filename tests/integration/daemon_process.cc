#include "tests/integration/daemon_process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

namespace ckpt::integration {
namespace {

UniqueFd BindDatagram(const std::string& path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    std::perror(path.c_str());
    std::abort();
  }
  return socket;
}

// Waits until the daemon says READY (true) or has ended (false).
bool AwaitReady(int notify, int exit_descriptor) {
  while (true) {
    std::array<pollfd, 2> descriptors = {
        pollfd{.fd = notify, .events = POLLIN, .revents = 0},
        pollfd{.fd = exit_descriptor, .events = POLLIN, .revents = 0}};
    if (poll(descriptors.data(), descriptors.size(), -1) < 0 && errno != EINTR) return false;
    if (descriptors[0].revents != 0) {
      std::array<char, 256> message;
      const ssize_t size = recv(notify, message.data(), message.size(), 0);
      if (size > 0 && std::string_view(message.data(), static_cast<size_t>(size)).find("READY=1") !=
                          std::string_view::npos) {
        return true;
      }
    } else if (descriptors[1].revents != 0) {
      return false;
    }
  }
}

}  // namespace

DaemonProcess::DaemonProcess(const ScratchFolder& folder, std::vector<std::string> flags,
                             const std::string& data_dir)
    : data_dir_(data_dir.empty() ? folder / "data" : data_dir),
      server_("unix:" + folder / "ckptd.sock"),
      log_path_(folder / "ckptd.log"),
      notify_path_(folder / "notify.sock"),
      flags_(std::move(flags)),
      notify_(BindDatagram(notify_path_)) {}

DaemonProcess::~DaemonProcess() {
  if (testing::Test::HasFailure()) std::fprintf(stderr, "log of ckptd:\n%s", log().c_str());
}

bool DaemonProcess::Start(const Launch& launch) {
  Command command;
  command.argv = launch.wrapper;
  const std::vector<std::string> daemon = {CKPTD_BINARY, "--data-dir", data_dir_,    "--listen",
                                           server_,      "--http",     "127.0.0.1:0"};
  command.argv.insert(command.argv.end(), daemon.begin(), daemon.end());
  command.argv.insert(command.argv.end(), flags_.begin(), flags_.end());
  command.environment = launch.environment;
  command.environment["NOTIFY_SOCKET"] = notify_path_;
  command.stderr_path = log_path_;
  process_ = std::make_unique<Process>(command);
  return AwaitReady(notify_.get(), process_->exit_descriptor());
}

void DaemonProcess::Kill() {
  process_->Signal(SIGKILL);
  process_->Wait();
}

int DaemonProcess::Stop() {
  process_->Signal(SIGTERM);
  return process_->Wait();
}

std::string DaemonProcess::log() const {
  std::ifstream file(log_path_, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace ckpt::integration
