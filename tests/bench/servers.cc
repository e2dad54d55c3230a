#include "tests/bench/servers.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace ckpt::bench {

Servers::Servers(const Options& options)
    : folder_(options.folder),
      daemon_(folder_),
      noop_address_("unix:" + folder_ / "noop.sock"),
      noop_({.argv = {std::filesystem::read_symlink("/proc/self/exe").string(), "serve-noop",
                      noop_address_},
             .environment = {},
             .stderr_path = ""}) {
  if (!daemon_.Start()) Fail("ckptd does not start: " + daemon_.log());
  if (noop_.ReadLine() != "ready") Fail("the baseline server does not start");
}

std::shared_ptr<grpc::Channel> Connect(const std::string& server) {
  static int number = 0;
  grpc::ChannelArguments arguments;
  arguments.SetInt("ckpt.bench", ++number);  // channels with equal arguments share a connection
  return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), arguments);
}

void Fail(const std::string& what) {
  std::fprintf(stderr, "ckptbench: %s\n", what.c_str());
  std::exit(1);
}

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace ckpt::bench
