#include "server/config.h"

#include <gmock/gmock.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ConfigTest : public testing::Test {
 protected:
  std::string WriteFile(const std::string& text) {
    const std::string path = testing::TempDir() + "/ckptd-config-test.yaml";
    std::ofstream(path) << text;
    return path;
  }
};

TEST_F(ConfigTest, Defaults) {
  const auto config = LoadConfig({}, {});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->data_dir(), "./ckptd-data");
  EXPECT_THAT(config->listen(), ElementsAre("127.0.0.1:7070"));
  EXPECT_EQ(config->http(), "127.0.0.1:7071");
  EXPECT_EQ(config->limits().io_threads(), 4);
  EXPECT_EQ(config->limits().max_chunk_kib(), 512);
  EXPECT_EQ(config->limits().free_space_reserve_mib(), 256);
  EXPECT_EQ(config->limits().keepalive_seconds(), 30);
  EXPECT_EQ(config->limits().upload_idle_seconds(), 60);
  EXPECT_EQ(config->scrub().interval_hours(), 168);
  EXPECT_EQ(config->scrub().mib_per_second(), 16);
  EXPECT_EQ(config->local().socket(), "");
  EXPECT_EQ(config->local().max_slots(), 64);
  EXPECT_EQ(config->local().max_trainer_mib(), 65'536);
  EXPECT_EQ(config->local().max_total_mib(), 262'144);
  EXPECT_EQ(config->local().max_connections(), 1024);
  EXPECT_TRUE(config->reflection());
}

TEST_F(ConfigTest, FlagsWinOverEnvironmentOverFile) {
  CommandLine flags;
  flags.config_file = WriteFile(
      "data_dir: file\nhttp: file:1\nlog: {level: warn}\nlisten: [f:1]\n"
      "local: {socket: /file}");
  const Environment environment = {{"CKPTD_HTTP", "env:2"},
                                   {"CKPTD_LOCAL_SOCKET", "/env"},
                                   {"CKPTD_LISTEN", "e:1,unix:/e"},
                                   {"CKPTD_LOG_LEVEL", "debug"}};
  flags.log_level = "error";
  const auto config = LoadConfig(flags, environment);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->data_dir(), "file");
  EXPECT_EQ(config->http(), "env:2");
  EXPECT_EQ(config->local().socket(), "/env");
  EXPECT_THAT(config->listen(), ElementsAre("e:1", "unix:/e"));
  EXPECT_EQ(config->log().level(), "error");
}

TEST_F(ConfigTest, BadValuesAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"log: {level: loud}", "log.level is 'loud'"},
      {"log: {format: xml}", "log.format is 'xml'"},
      {"limits: {io_threads: 65}", "limits.io_threads is '65', but it must be 1 to 64"},
      {"limits: {io_threads: -1}", "limits.io_threads is '-1'"},
      {"limits: {upload_memory_mib: 2, max_chunk_kib: 2048}", "it must hold two chunks"},
      {"limits: {keepalive_seconds: 3601}", "limits.keepalive_seconds is '3601'"},
      {"limits: {upload_idle_seconds: -1}", "limits.upload_idle_seconds is '-1'"},
      {"limits: {free_space_reserve_mib: -1}", "limits.free_space_reserve_mib is '-1'"},
      {"scrub: {interval_hours: -1}", "scrub.interval_hours is '-1', but it must be 0 (never) to"},
      {"scrub: {interval_hours: 100000}", "scrub.interval_hours is '100000'"},
      {"scrub: {mib_per_second: -1}", "scrub.mib_per_second is '-1'"},
      {"scrub: {mib_per_second: 1000001}", "scrub.mib_per_second is '1000001'"},
      {"local: {socket: local.sock}", "local.socket is 'local.sock', but it must be an absolute"},
      {"local: {max_slots: -1}", "local.max_slots is '-1'"},
      {"local: {max_trainer_mib: -1}", "local.max_trainer_mib is '-1'"},
      {"local: {max_total_mib: -1}", "local.max_total_mib is '-1'"},
      {"local: {max_connections: -1}", "local.max_connections is '-1'"},
      {"local: {allow_uids: [bob]}", "allow_uids"},
      {"shutdown_grace_seconds: -3", "shutdown_grace_seconds is '-3'"},
      {"policies: [{name: a b, filepath: x}]", "policy 'a b' is not allowed"},
      {"policies: [{name: a, filepath: /abs}]", "/abs"},
      {"rules: [{runs: '*', policies: [nope]}]", "has no policy 'nope'"},
      {"listen: ['127.0.0.1']", "listen is '127.0.0.1', but it must be unix:PATH or HOST:PORT"},
      {"listen: ['127.0.0.1:99999']", "listen is '127.0.0.1:99999'"},
      {"listen: ['127.0.0.1:http']", "listen is '127.0.0.1:http'"},
      {"listen: ['127.0.0.1:-1']", "listen is '127.0.0.1:-1'"},
      {"listen: [':7070']", "listen is ':7070'"},
      {"listen: ['::1']", "listen is '::1'"},
      {"listen: ['unix:']", "listen is 'unix:'"},
      {"http: localhost", "http is 'localhost', but it must be 'off' or HOST:PORT"},
      {"http: '127.0.0.1:70711'", "http is '127.0.0.1:70711'"},
      {"http: 'unix:/x'", "http is 'unix:/x'"},
      {"rules: [{policies: [x]}]", "a rule needs a run pattern"},
  };
  for (const auto& [yaml, message] : cases) {
    CommandLine flags;
    flags.config_file = WriteFile(yaml);
    const auto config = LoadConfig(flags, {});
    ASSERT_FALSE(config.ok()) << yaml;
    EXPECT_THAT(std::string(MessageOf(config.status())), HasSubstr(message)) << yaml;
  }
}

TEST_F(ConfigTest, AddressesOfEveryKind) {
  CommandLine flags;
  flags.listen = {"127.0.0.1:0", "localhost:65535", "[::1]:7070", "unix:/run/c.sock",
                  "unix:c.sock"};
  flags.http = "[::1]:0";
  EXPECT_TRUE(LoadConfig(flags, {}).ok()) << LoadConfig(flags, {}).status();
}

TEST_F(ConfigTest, ZerosThatAreNotTheDefault) {
  CommandLine flags;
  flags.config_file = WriteFile("limits: {free_space_reserve_mib: 0}\nscrub: {interval_hours: 0}");
  const auto config = LoadConfig(flags, {});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->limits().free_space_reserve_mib(), 0);
  EXPECT_EQ(config->scrub().interval_hours(), 0);
  EXPECT_EQ(config->scrub().mib_per_second(), 16);
}

TEST_F(ConfigTest, AMissingFileIsNamed) {
  const auto config = LoadConfig({}, {{"CKPTD_CONFIG", "/nowhere/ckptd.yaml"}});
  ASSERT_FALSE(config.ok());
  EXPECT_THAT(std::string(MessageOf(config.status())), HasSubstr("/nowhere/ckptd.yaml"));
}

TEST_F(ConfigTest, TheExampleConfigurationIsGood) {
  CommandLine flags;
  flags.config_file = CKPT_SOURCE_DIR "/deploy/ckptd.example.yaml";
  const auto config = LoadConfig(flags, {});
  EXPECT_TRUE(config.ok()) << config.status();
}

TEST_F(ConfigTest, CommandLine) {
  CommandLine flags;
  const char* good[] = {"ckptd", "--data-dir", "d", "--listen", "a:1", "--listen", "unix:/x"};
  EXPECT_EQ(ParseCommandLine(7, good, &flags), std::nullopt);
  EXPECT_EQ(flags.data_dir, "d");
  EXPECT_THAT(flags.listen, ElementsAre("a:1", "unix:/x"));
  const char* bad[] = {"ckptd", "--no-such-flag"};
  EXPECT_EQ(ParseCommandLine(2, bad, &flags), 2);
  const char* help[] = {"ckptd", "--help"};
  EXPECT_EQ(ParseCommandLine(2, help, &flags), 0);
}

}  // namespace
}  // namespace ckpt::server
