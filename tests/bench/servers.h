// The daemon and its baseline, side by side.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/bench/options.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/process.h"
#include "tests/integration/scratch_folder.h"

namespace ckpt::bench {

// Both listen on Unix sockets and run as processes of their own. Ends this program if one of them
// does not start.
class Servers {
 public:
  explicit Servers(const Options& options);

  integration::DaemonProcess& daemon() { return daemon_; }
  // A path for `name` on the disk that is measured.
  std::string PathOf(const std::string& name) const { return folder_ / name; }
  const std::string& noop_server() const { return noop_address_; }
  pid_t noop_pid() const { return noop_.pid(); }

 private:
  integration::ScratchFolder folder_;
  integration::DaemonProcess daemon_;
  std::string noop_address_;
  integration::Process noop_;
};

// A new connection.
std::shared_ptr<grpc::Channel> Connect(const std::string& server);

// Says what went wrong and ends the program: a measurement that fails has no result.
[[noreturn]] void Fail(const std::string& what);

// Seconds by the steady clock, since some moment.
double Now();

}  // namespace ckpt::bench
