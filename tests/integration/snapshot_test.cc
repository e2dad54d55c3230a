// Snapshots in memory: the client library, a real trainer that is killed, and the real daemon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "ckpt/client.h"
#include "ckpt/errors.h"
#include "ckpt/run.h"
#include "tests/integration/training.h"

namespace ckpt::integration {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string Config(const ScratchFolder& folder) {
  const std::string path = folder / "ckptd.yaml";
  std::ofstream(path) << "policies:\n"
                         "  - {name: every, filepath: 'every-{epoch}'}\n"
                         "  - name: rescue\n"
                         "    filepath: 'rescue-{epoch}'\n"
                         "    options: {placement: PLACEMENT_MEMORY, snapshots: 2}\n";
  return path;
}

class SnapshotTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(daemon_.Start()); }

  // In the daemon's next life, in which everything has come to its end.
  std::vector<v1::Checkpoint> ListAfterRestart(const std::string& run, const std::string& policy) {
    EXPECT_EQ(daemon_.Stop(), 0);
    EXPECT_TRUE(daemon_.Start());
    std::vector<v1::Checkpoint> all;
    Client client({.server = daemon_.server()});
    const absl::Status listed = client.ListCheckpoints(run, "policy = \"" + policy + "\"", "", 0,
                                                       [&](const v1::Checkpoint& checkpoint) {
                                                         all.push_back(checkpoint);
                                                         return true;
                                                       });
    EXPECT_TRUE(listed.ok()) << listed;
    return all;
  }
  std::string Read(const v1::Checkpoint& checkpoint, const std::string& run) {
    Client client({.server = daemon_.server()});
    const auto bytes = client.Read(run, checkpoint.name().substr(checkpoint.name().rfind('/') + 1));
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    return bytes.value_or("");
  }
  RunOptions Options() {
    RunOptions options;
    options.server = daemon_.server();
    options.run = "run";
    options.policy_names = {"rescue"};
    options.notify = [](std::string_view) {};
    options.weights = [this](const v1::Checkpoint&) {
      return std::vector<PartBytes>{PartBytes::Own("weights", "moment " + std::to_string(moment_))};
    };
    return options;
  }
  void StartRun() {
    auto run = ckpt::Run::Start(Options());
    ASSERT_TRUE(run.ok()) << run.status();
    run_ = *std::move(run);
  }
  void Epochs(int count) {
    for (int i = 0; i < count; ++i) {
      const auto decision = run_->OnEpochEnd(moment_++, {{"val_loss", 1.0}});
      ASSERT_TRUE(decision.ok()) << decision.status();
      EXPECT_EQ(decision->saves_size(), 1);
    }
  }

  const ScratchFolder folder_;
  DaemonProcess daemon_{folder_, {"--config", Config(folder_)}};
  std::unique_ptr<ckpt::Run> run_;
  int64_t moment_ = 0;
};

TEST_F(SnapshotTest, AKilledTrainerLeavesItsLastOne) {
  const std::vector<std::string> both = {"--policy", "every", "--policy", "rescue"};
  Process trainer(TrainDigits(daemon_, both));
  ASSERT_TRUE(trainer.ReadUntil(EpochLine(5)));
  trainer.Signal(SIGKILL);
  EXPECT_EQ(trainer.Wait(), 128 + SIGKILL);
  const auto rescued = ListAfterRestart(kRun, "rescue");
  ASSERT_THAT(rescued, SizeIs(1));
  EXPECT_GE(rescued[0].epoch(), 3);
  const auto every = ListAfterRestart(kRun, "every");
  ASSERT_GT(every.size(), static_cast<size_t>(rescued[0].epoch()));
  const v1::Checkpoint& same_epoch = every[static_cast<size_t>(rescued[0].epoch())];
  EXPECT_EQ(same_epoch.epoch(), rescued[0].epoch());
  EXPECT_EQ(Read(rescued[0], kRun), Read(same_epoch, kRun));
}

TEST_F(SnapshotTest, ATrainerThatEndsInGoodOrderLeavesNone) {
  Process trainer(TrainDigits(daemon_, {"--policy", "rescue"}));
  EXPECT_EQ(trainer.Wait(), 0);
  EXPECT_THAT(ListAfterRestart(kRun, "rescue"), IsEmpty());
}

TEST_F(SnapshotTest, TrainingWaitsForNoneOfThem) {
  StartRun();
  Epochs(20);
  EXPECT_TRUE(run_->Flush().ok()) << "those that are held, and those that were dropped";
  EXPECT_TRUE(run_->Close().ok());
  const auto left = ListAfterRestart("run", "rescue");
  ASSERT_THAT(left, SizeIs(1)) << "the end of training was not reported";
  EXPECT_EQ(Read(left[0], "run"), "moment 20");
}

TEST_F(SnapshotTest, TheNextDaemonIsHandedThemAgain) {
  StartRun();
  Epochs(3);
  ASSERT_TRUE(run_->Flush().ok());
  daemon_.Kill();
  ASSERT_TRUE(daemon_.Start());
  // An event that is answered: the daemon has been welcomed, and the snapshots are on their way.
  ASSERT_TRUE(run_->OnEpochBegin(3).ok());
  ASSERT_TRUE(run_->Flush().ok());
  run_.reset();
  const auto left = ListAfterRestart("run", "rescue");
  ASSERT_THAT(left, SizeIs(1));
  EXPECT_EQ(Read(left[0], "run"), "moment 3");
}

TEST_F(SnapshotTest, WithoutSharedMemoryTheRunDoesNotStart) {
  RunOptions options = Options();
  options.shared_memory = false;
  const auto run = ckpt::Run::Start(options);
  EXPECT_EQ(ReasonOf(run.status()), v1::ERROR_REASON_SHARED_MEMORY_REQUIRED) << run.status();
}

}  // namespace
}  // namespace ckpt::integration
