// What an operator does to a real daemon's data: backup under load, verification, a rebuilt index.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "ckpt/client.h"
#include "tests/integration/ckptctl.h"
#include "tests/integration/run_view.h"
#include "tests/integration/training.h"

namespace ckpt::integration {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

class Upkeep : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(daemon_.Start()); }

  Finished Rebuild(std::vector<std::string> data_dir) {
    Command command = {.argv = {CKPTD_BINARY, "--rebuild-index", "--data-dir"},
                       .environment = {},
                       .stderr_path = ""};
    command.argv.insert(command.argv.end(), data_dir.begin(), data_dir.end());
    return RunToEnd(command);
  }
  std::vector<std::string> Names(const DaemonProcess& daemon) {
    std::vector<std::string> names;
    Client client({.server = daemon.server()});
    EXPECT_TRUE(client
                    .ListCheckpoints("", "", "", 0,
                                     [&](const v1::Checkpoint& checkpoint) {
                                       names.push_back(checkpoint.name());
                                       return true;
                                     })
                    .ok());
    return names;
  }
  // The newest part file of the data folder.
  std::string AnyPart() {
    std::string part;
    for (const auto& entry : fs::recursive_directory_iterator(daemon_.data_dir() + "/blobs")) {
      if (entry.path().filename() == "weights") part = std::max(part, entry.path().string());
    }
    return part;
  }
  static void FlipByte(const std::string& path) {
    fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const char byte = static_cast<char>(file.get());
    file.seekp(0);
    file.put(static_cast<char>(~byte));
  }

  const ScratchFolder folder_;
  DaemonProcess daemon_{folder_};
};

TEST_F(Upkeep, ABackupUnderLoadHoldsAllThatWasCommittedBefore) {
  Process trainer(TrainDigits(daemon_));
  const ScratchFolder elsewhere;
  const std::string copy = elsewhere / "data";
  ASSERT_TRUE(trainer.ReadUntil(EpochLine(4)));
  const std::vector<std::string> before = Names(daemon_);
  ASSERT_GT(before.size(), 2U);
  const Finished backed_up = Ckptctl(daemon_, {"backup", copy});
  ASSERT_EQ(backed_up.exit_code, 0) << backed_up.err;
  EXPECT_EQ(trainer.Wait(), 0);

  DaemonProcess restored(elsewhere);
  ASSERT_EQ(restored.data_dir(), copy);
  ASSERT_TRUE(restored.Start());
  EXPECT_THAT(Names(restored), IsSupersetOf(before));
  const Finished verified = Ckptctl(restored, {"verify"});
  EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
  Observe(restored, kRun);
}

TEST_F(Upkeep, VerifyFindsAndRepairs) {
  ASSERT_EQ(RunToEnd(TrainDigits(daemon_)).exit_code, 0);
  EXPECT_EQ(Ckptctl(daemon_, {"verify", "--rate", "100000"}).exit_code, 0);
  FlipByte(AnyPart());
  const Finished found = Ckptctl(daemon_, {"verify", kRun});
  EXPECT_EQ(found.exit_code, 5) << found.err;
  EXPECT_THAT(found.out, HasSubstr("does not match"));
  EXPECT_EQ(Ckptctl(daemon_, {"verify", "--repair"}).exit_code, 5);
  EXPECT_THAT(Ckptctl(daemon_, {"list"}).out, HasSubstr("(damaged)"));
  FlipByte(AnyPart());
  EXPECT_EQ(Ckptctl(daemon_, {"verify", "--repair"}).exit_code, 0);
  EXPECT_EQ(Ckptctl(daemon_, {"verify"}).exit_code, 0);
  EXPECT_EQ(Ckptctl(daemon_, {"verify", "none"}).exit_code, 3);
  EXPECT_EQ(Ckptctl(daemon_, {"verify", "--from", "x"}).exit_code, 2);
}

TEST_F(Upkeep, ARebuiltIndexSaysWhatTheLostOneSaid) {
  ASSERT_EQ(RunToEnd(TrainDigits(daemon_)).exit_code, 0);
  const RunView before = Observe(daemon_, kRun);
  const std::string best = Ckptctl(daemon_, {"best", kRun}).out;
  EXPECT_THAT(Rebuild({daemon_.data_dir()}).err, HasSubstr("in use"));
  ASSERT_EQ(daemon_.Stop(), 0);
  fs::remove_all(daemon_.data_dir() + "/index");
  const Finished rebuilt = Rebuild({daemon_.data_dir()});
  ASSERT_EQ(rebuilt.exit_code, 0) << rebuilt.err;
  EXPECT_THAT(rebuilt.out, HasSubstr("has been rebuilt: 1 runs"));
  ASSERT_TRUE(daemon_.Start());
  const RunView after = Observe(daemon_, kRun);
  EXPECT_EQ(after.checkpoints, before.checkpoints);
  EXPECT_EQ(after.files, before.files);
  EXPECT_EQ(Ckptctl(daemon_, {"best", kRun}).out, best);
  // And training goes on.
  Command more = TrainDigits(daemon_, {"--resume"});
  std::replace(more.argv.begin(), more.argv.end(), std::to_string(kEpochs),
               std::to_string(kEpochs + 1));
  const Finished resumed = RunToEnd(more);
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
}

}  // namespace
}  // namespace ckpt::integration
