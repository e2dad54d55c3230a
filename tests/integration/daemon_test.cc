// The daemon's command line, its life as a process, and its HTTP pages.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <fstream>
#include <string>
#include <vector>

#include "ckpt/client.h"
#include "tests/integration/run_view.h"
#include "tests/integration/training.h"

namespace ckpt::integration {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

Finished Ckptd(std::vector<std::string> flags) {
  flags.insert(flags.begin(), CKPTD_BINARY);
  return RunToEnd({.argv = std::move(flags), .environment = {}, .stderr_path = ""});
}

// The whole answer to a GET of `path` from 127.0.0.1:PORT.
std::string Get(const std::string& address, const std::string& path) {
  sockaddr_in server = {};
  server.sin_family = AF_INET;
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  server.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&server), sizeof(server)) != 0) {
    return "cannot connect";
  }
  const std::string request =
      "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL);
  std::string answer;
  std::array<char, 4096> chunk;
  while (true) {
    const ssize_t size = recv(socket.get(), chunk.data(), chunk.size(), 0);
    if (size <= 0) return answer;
    answer.append(chunk.data(), static_cast<size_t>(size));
  }
}

TEST(CommandLine, SaysItsVersion) {
  const Finished version = Ckptd({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out, HasSubstr("ckptd 0."));
}

TEST(CommandLine, RefusesWrongUse) {
  for (const std::vector<std::string>& flags :
       std::vector<std::vector<std::string>>{{"--nosuchflag"}, {"--data-dir"}, {"positional"}}) {
    const Finished finished = Ckptd(flags);
    EXPECT_EQ(finished.exit_code, 2) << flags[0];
    EXPECT_NE(finished.err, "") << flags[0];
  }
}

TEST(CommandLine, TheExampleConfigurationIsGood) {
  const Finished checked = Ckptd({"--config", EXAMPLE_CONFIG, "--check-config"});
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
}

TEST(CommandLine, NamesWhatIsWrongInAConfiguration) {
  const ScratchFolder folder;
  const struct {
    std::string yaml;
    std::string message;
  } kCases[] = {
      {"datadir: x\n", "did you mean 'data_dir'"},
      {"limits:\n  io_threads: 65\n", "io_threads"},
      {"log: {level: loud}\n", "log.level"},
      {"policies:\n  - {name: a, filepath: ../up}\n", "filepath"},
      {"rules:\n  - {runs: '*', policies: [nosuch]}\n", "nosuch"},
      {"listen: [\n", "ckptd.yaml:"},
      {"data_dir: &a [*a]\n", "data_dir"},
  };
  for (const auto& test_case : kCases) {
    const std::string path = folder / "ckptd.yaml";
    std::ofstream(path) << test_case.yaml;
    const Finished checked = Ckptd({"--config", path, "--check-config"});
    EXPECT_EQ(checked.exit_code, 1) << test_case.yaml;
    EXPECT_THAT(checked.err, HasSubstr(test_case.message)) << test_case.yaml;
    EXPECT_THAT(checked.out, IsEmpty());
  }
}

TEST(CommandLine, SaysWhichConfigurationCannotBeRead) {
  const ScratchFolder folder;
  for (const std::string& path : {folder / "missing.yaml", folder / ""}) {
    const Finished checked = Ckptd({"--config", path, "--check-config"});
    EXPECT_EQ(checked.exit_code, 1) << path << checked.err;
    EXPECT_THAT(checked.err, HasSubstr(path));
  }
}

TEST(Daemon, RefusesADataFolderInUse) {
  const ScratchFolder folder;
  DaemonProcess daemon(folder);
  ASSERT_TRUE(daemon.Start());
  const Finished second = Ckptd({"--data-dir", daemon.data_dir(), "--listen",
                                 "unix:" + (folder / "second.sock"), "--http", "off"});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.err, HasSubstr(daemon.data_dir()));
  EXPECT_TRUE(Client({.server = daemon.server()}).GetStatus().ok());
}

TEST(Daemon, RefusesAnAddressInUse) {
  const ScratchFolder folder;
  DaemonProcess daemon(folder, {"--listen", "127.0.0.1:0"});
  ASSERT_TRUE(daemon.Start());
  const auto status = Client({.server = daemon.server()}).GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  ASSERT_EQ(status->listen_size(), 2);
  const Finished second =
      Ckptd({"--data-dir", folder / "second", "--listen", status->listen(1), "--http", "off"});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.err, HasSubstr(status->listen(1)));
}

TEST(Daemon, TakesNoSocketFromAnother) {
  const ScratchFolder folder;
  DaemonProcess daemon(folder);
  ASSERT_TRUE(daemon.Start());
  const Finished second =
      Ckptd({"--data-dir", folder / "second", "--listen", daemon.server(), "--http", "off"});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.err, HasSubstr(daemon.server()));
  EXPECT_TRUE(Client({.server = daemon.server()}).GetStatus().ok());
}

TEST(Daemon, ServesTcpAndUnixAlike) {
  const ScratchFolder folder;
  DaemonProcess daemon(folder, {"--listen", "127.0.0.1:0"});
  ASSERT_TRUE(daemon.Start());
  const auto by_unix = Client({.server = daemon.server()}).GetStatus();
  ASSERT_TRUE(by_unix.ok()) << by_unix.status();
  const auto by_tcp = Client({.server = by_unix->listen(1)}).GetStatus();
  ASSERT_TRUE(by_tcp.ok()) << by_tcp.status();
  EXPECT_EQ(by_tcp->pid(), by_unix->pid());
}

TEST(Daemon, StopsInGoodOrderAsSoonAsItIsReady) {
  const ScratchFolder folder;
  DaemonProcess daemon(folder);
  ASSERT_TRUE(daemon.Start());
  EXPECT_EQ(daemon.Stop(), 0);
}

TEST(Daemon, StopsInGoodOrderWhileATrainerIsConnected) {
  const ScratchFolder folder;
  DaemonProcess daemon(folder);
  ASSERT_TRUE(daemon.Start());
  Process trainer(TrainDigits(daemon));
  ASSERT_TRUE(trainer.ReadUntil(EpochLine(2)));
  EXPECT_EQ(daemon.Stop(), 0);
  ASSERT_TRUE(daemon.Start());
  EXPECT_TRUE(trainer.ReadUntil(kScoreLine));
  EXPECT_EQ(trainer.Wait(), 0);
}

TEST(Daemon, AnswersOverHttp) {
  const ScratchFolder folder;
  DaemonProcess daemon(folder);
  ASSERT_TRUE(daemon.Start());
  ASSERT_EQ(RunToEnd(TrainDigits(daemon)).exit_code, 0);
  const auto status = Client({.server = daemon.server()}).GetStatus();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_THAT(Get(status->http(), "/healthz"), HasSubstr("HTTP/1.1 200"));
  EXPECT_THAT(Get(status->http(), "/nosuchpage"), HasSubstr("HTTP/1.1 404"));
  EXPECT_THAT(Get(status->http(), "/metrics"),
              HasSubstr("\nckptd_checkpoints " + std::to_string(status->checkpoints()) + "\n"));
}

}  // namespace
}  // namespace ckpt::integration
