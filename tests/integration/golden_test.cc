// Data folders that older versions left behind: each is opened, listed, fetched and gone on with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "ckpt/client.h"
#include "storage/base/digest.h"
#include "storage/base/names.h"
#include "tests/integration/ckptctl.h"
#include "tests/integration/run_view.h"
#include "tests/integration/training.h"

namespace ckpt::integration {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Json = nlohmann::json;

// Whether every field of `old` is in `now`: later versions may only add some.
bool Contains(const Json& now, const Json& old) {
  if (old.is_object()) {
    for (const auto& [key, value] : old.items()) {
      if (!now.contains(key) || !Contains(now[key], value)) return false;
    }
    return now.is_object();
  }
  if (!old.is_array()) return now == old;
  if (!now.is_array() || now.size() != old.size()) return false;
  for (size_t i = 0; i < old.size(); ++i) {
    if (!Contains(now[i], old[i])) return false;
  }
  return true;
}

class Golden : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string name = std::string(GOLDEN_FOLDERS) + '/' + GetParam();
    fs::create_directories(daemon_.data_dir());
    const Finished unpacked =
        RunToEnd({.argv = {"/usr/bin/tar", "-xzf", name + ".tar.gz", "--no-same-owner",
                           "--strip-components=1", "-C", daemon_.data_dir()},
                  .environment = {},
                  .stderr_path = ""});
    ASSERT_EQ(unpacked.exit_code, 0) << unpacked.err;
    std::ifstream(name + ".json") >> expected_;
    ASSERT_GT(expected_.size(), 0U);
    std::ifstream history(name + ".history.csv");  // none of version 1
    history_.assign(std::istreambuf_iterator<char>(history), {});
  }

  Finished Ctl(const std::vector<std::string>& arguments) { return Ckptctl(daemon_, arguments); }

  void ExpectEverything() {
    const Finished list = Ctl({"-o", "json", "list"});
    ASSERT_EQ(list.exit_code, 0) << list.err;
    EXPECT_TRUE(Contains(Json::parse(list.out), expected_)) << list.out;
    Client client({.server = daemon_.server()});
    EXPECT_TRUE(client
                    .ListCheckpoints("", "", "", 0,
                                     [&](const v1::Checkpoint& checkpoint) {
                                       const auto ref = ParseCheckpointName(checkpoint.name());
                                       const auto bytes = client.Read(
                                           ref->run, ref->id);  // and verifies the digest
                                       EXPECT_TRUE(bytes.ok()) << bytes.status();
                                       return true;
                                     })
                    .ok());
    const Finished verified = Ctl({"verify"});
    EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
    EXPECT_EQ(Ctl({"-o", "name", "best", "minimal", "--metric", "val_loss"}).out, "minimal@10\n");
  }

  const ScratchFolder folder_;
  DaemonProcess daemon_{folder_};
  Json expected_;
  std::string history_;  // of the metric "loss" of the run "long"
};

TEST_P(Golden, IsOpenedAndGoesOn) {
  ASSERT_TRUE(daemon_.Start());
  EXPECT_THAT(daemon_.log(),
              HasSubstr("0 names put back, 0 deletions finished, 0 orphans removed"));
  ASSERT_NO_FATAL_FAILURE(ExpectEverything());
  EXPECT_EQ(Ctl({"-o", "name", "best", "minimal"}).out, "minimal@10\n");
  EXPECT_EQ(Ctl({"history", "digits", "val_loss"}).exit_code, 0);
  if (!history_.empty()) {
    EXPECT_EQ(Ctl({"-o", "csv", "history", "long", "loss", "--newest", "--points", "10000"}).out,
              history_);
  }
  const size_t before = Observe(daemon_, "minimal").checkpoints.size();
  const Finished trained = RunToEnd({.argv = {MINIMAL_TRAINER_BINARY},
                                     .environment = {{"CKPT_SERVER", daemon_.server()}},
                                     .stderr_path = ""});
  EXPECT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_GE(Observe(daemon_, "minimal").checkpoints.size(), before);
  const Finished resumed = RunToEnd(TrainDigits(daemon_, {"--resume"}));
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
}

TEST_P(Golden, IndexIsRebuilt) {
  fs::remove_all(daemon_.data_dir() + "/index");
  EXPECT_FALSE(daemon_.Start());
  EXPECT_THAT(daemon_.log(), HasSubstr("'ckptd --rebuild-index'"));
  const Finished rebuilt =
      RunToEnd({.argv = {CKPTD_BINARY, "--data-dir", daemon_.data_dir(), "--rebuild-index"},
                .environment = {},
                .stderr_path = ""});
  ASSERT_EQ(rebuilt.exit_code, 0) << rebuilt.err;
  ASSERT_TRUE(daemon_.Start());
  ExpectEverything();
}

INSTANTIATE_TEST_SUITE_P(, Golden, testing::Values("v1", "v2"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace ckpt::integration
