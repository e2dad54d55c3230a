// The recorded cases of the reference, driven through a real daemon by `ckptctl replay`.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/integration/daemon_process.h"

namespace ckpt::integration {
namespace {

using Json = nlohmann::json;

// Replays the cases of `path` and compares with what is recorded there.
void ExpectAgreement(const DaemonProcess& daemon, const std::string& path) {
  const Finished replayed = RunToEnd({.argv = {CKPTCTL_BINARY, "replay", path},
                                      .environment = {{"CKPT_SERVER", daemon.server()}},
                                      .stderr_path = ""});
  EXPECT_EQ(replayed.exit_code, 0) << replayed.err;
  std::ifstream cases(path);
  std::istringstream results(replayed.out);
  int count = 0;
  for (std::string line; std::getline(cases, line); ++count) {
    const Json expected = Json::parse(line);
    ASSERT_TRUE(std::getline(results, line)) << "no line for " << expected["id"];
    const Json result = Json::parse(line);
    EXPECT_EQ(result["id"], expected["id"]);
    EXPECT_EQ(result["init"], expected["init"]) << expected["id"];
    EXPECT_EQ(result["got"], expected.value("expect", Json::array())) << expected["id"];
  }
  EXPECT_EQ(count, 400) << path;
  EXPECT_EQ(results.peek(), std::istringstream::traits_type::eof());
}

TEST(Replay, AllRecordedCasesAgree) {
  const ScratchFolder folder;
  DaemonProcess daemon(folder);
  ASSERT_TRUE(daemon.Start());
  ExpectAgreement(daemon, CONFORMANCE_DIR "/keras29.jsonl");
  ExpectAgreement(daemon, CONFORMANCE_DIR "/keras29_more.jsonl");
}

}  // namespace
}  // namespace ckpt::integration
