// ckptd: configuration, logging, signals. Everything else is in Daemon.

#include <fmt/format.h>
#include <malloc.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <thread>

#include "server/config.h"
#include "server/daemon.h"
#include "server/log.h"
#include "server/rebuild_command.h"
#include "server/service_manager.h"
#include "server/version.h"
#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

constexpr int kExitError = 1;
// Chunks of 512 KiB come and go all the time. Less than this is not given back to the kernel, which
// would have to clear it anew for the next one.
constexpr int kKeptMemory = 16 << 20;

int Complain(const absl::Status& status) {
  fmt::print(stderr, "ckptd: {}\n", MessageOf(status));
  return kExitError;
}

// SIGTERM and SIGINT, from its construction on: who is told that the daemon is ready may stop it
// right away.
class StopSignal {
 public:
  // Returns at the first one; from then on a second ends the process at once, which is safe: the
  // next start recovers.
  void Wait() {
    signals_.async_wait([](const boost::system::error_code&, int number) {
      spdlog::info("signal {}: finishing what has been received; once more to stop at once",
                   number);
    });
    io_.run();
    signals_.clear();
  }

 private:
  boost::asio::io_context io_;
  boost::asio::signal_set signals_{io_, SIGTERM, SIGINT};
};

int Main(int argc, const char* const* argv) {
  CommandLine flags;
  if (const auto exit_code = ParseCommandLine(argc, argv, &flags)) return *exit_code;
  const auto config = LoadConfig(flags, ReadEnvironment());
  if (!config.ok()) return Complain(config.status());
  if (flags.check_config) {
    fmt::print("the configuration is good\n");
    return 0;
  }
  if (flags.rebuild_index) {
    absl::Status status = RebuildAndReport(*config);
    return status.ok() ? 0 : Complain(status);
  }
  mallopt(M_MMAP_THRESHOLD, kKeptMemory);
  mallopt(M_TRIM_THRESHOLD, kKeptMemory);
  // Each arena keeps as much, and there would be up to eight for each core.
  mallopt(M_ARENA_MAX, static_cast<int>(std::max(2U, std::thread::hardware_concurrency())));
  std::signal(SIGPIPE, SIG_IGN);  // whoever read our log may have gone
  SetUpLogging(config->log());
  auto daemon = Daemon::Start(*config);
  if (!daemon.ok()) return Complain(daemon.status());
  StopSignal stop;
  spdlog::info("ckptd {} is ready (pid {}): gRPC on {}, HTTP on {}, data in {}", kVersion, getpid(),
               fmt::join((*daemon)->addresses(), " and "),
               (*daemon)->http_address().empty() ? "none" : (*daemon)->http_address(),
               (*daemon)->data_dir());
  NotifyServiceManager("READY=1");
  stop.Wait();
  NotifyServiceManager("STOPPING=1");
  (*daemon)->Shutdown();
  spdlog::info("stopped");
  return 0;
}

}  // namespace
}  // namespace ckpt::server

int main(int argc, char** argv) { return ckpt::server::Main(argc, argv); }
