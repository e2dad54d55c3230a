// The daemon's wall clock jumps by a day and more, while it works and while it is down.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ckpt/client.h"
#include "ckpt/run.h"
#include "google/protobuf/util/time_util.h"
#include "tests/integration/daemon_process.h"

namespace ckpt::integration {
namespace {

constexpr char kJumper[] = "jumper";

class ClockJump : public testing::Test {
 protected:
  void SetUp() override {
    SetClock(0);
    ASSERT_TRUE(daemon_.Start(launch_));
  }

  // Days from the real time.
  void SetClock(int days) const {
    const int64_t nanos = std::chrono::nanoseconds(std::chrono::hours(24 * days)).count();
    // In place, as the daemon has it mapped.
    std::fstream file(offset_, std::ios::in | std::ios::out | std::ios::binary);
    if (!file.is_open()) file.open(offset_, std::ios::out | std::ios::binary);
    file.write(reinterpret_cast<const char*>(&nanos), sizeof(nanos));
  }
  std::unique_ptr<ckpt::Run> StartRun() const {
    v1::CheckpointPolicy best;
    best.set_name("best");
    best.set_filepath("epoch{epoch:02d}.bin");
    best.set_save_best_only(true);
    RunOptions options;
    options.server = daemon_.server();
    options.run = kJumper;
    options.policies = {best};
    options.weights = [](const v1::Checkpoint& save) {
      return std::vector{PartBytes::Own("weights", "epoch " + std::to_string(save.epoch()))};
    };
    auto run = ckpt::Run::Start(std::move(options));
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? *std::move(run) : nullptr;
  }
  // One epoch, better than all before it; returns when it is saved.
  void Train(ckpt::Run& run) {
    const auto decision =
        run.OnEpochEnd(epoch_, {{"val_loss", 10.0 - static_cast<double>(epoch_)}});
    ASSERT_TRUE(decision.ok()) << decision.status();
    EXPECT_EQ(decision->saves_size(), 1);
    ++epoch_;
    const absl::Status saved = run.Flush();
    ASSERT_TRUE(saved.ok()) << saved;
  }
  // All epochs are there, in order, whole, and the last one is the newest and the best.
  void ExpectAll() {
    Client client({.server = daemon_.server()});
    std::vector<int64_t> epochs;
    const absl::Status listed = client.ListCheckpoints(
        kJumper, "", "id", /*page_size=*/1, [&](const v1::Checkpoint& checkpoint) {
          epochs.push_back(checkpoint.epoch());
          const std::string id = checkpoint.name().substr(checkpoint.name().rfind('/') + 1);
          const auto bytes = client.Read(kJumper, id);
          EXPECT_TRUE(bytes.ok()) << bytes.status();
          EXPECT_EQ(bytes.value_or(""), "epoch " + std::to_string(checkpoint.epoch()));
          return true;
        });
    EXPECT_TRUE(listed.ok()) << listed;
    std::vector<int64_t> expected;
    for (int64_t epoch = 0; epoch < epoch_; ++epoch) expected.push_back(epoch);
    EXPECT_EQ(epochs, expected);
    for (const char* alias : {"latest", "best"}) {
      const auto found = client.GetCheckpoint(kJumper, alias);
      ASSERT_TRUE(found.ok()) << found.status();
      EXPECT_EQ(found->epoch(), epoch_ - 1) << alias;
    }
  }
  // When the newest checkpoint was committed, in whole days from now.
  int64_t AgeOfNewest() {
    Client client({.server = daemon_.server()});
    const auto latest = client.GetCheckpoint(kJumper, "latest");
    EXPECT_TRUE(latest.ok()) << latest.status();
    if (!latest.ok()) return 0;
    using google::protobuf::util::TimeUtil;
    const int64_t seconds = TimeUtil::TimestampToSeconds(latest->commit_time()) -
                            TimeUtil::TimestampToSeconds(TimeUtil::GetCurrentTime());
    return (seconds + (seconds < 0 ? -43'200 : 43'200)) / 86'400;
  }

  const ScratchFolder folder_;
  const std::string offset_ = folder_ / "clock-offset";
  const Launch launch_{.wrapper = {},
                       .environment = {{"LD_PRELOAD", CLOCK_SHIM}, {"CLOCK_OFFSET", offset_}}};
  DaemonProcess daemon_{folder_};
  int64_t epoch_ = 0;
};

TEST_F(ClockJump, WhileTraining) {
  const std::unique_ptr<ckpt::Run> run = StartRun();
  ASSERT_NE(run, nullptr);
  for (const int days : {0, -1, 1, -400, 400, 0}) {
    SCOPED_TRACE(days);
    SetClock(days);
    Train(*run);
    EXPECT_EQ(AgeOfNewest(), days);  // the shim works
    ExpectAll();
  }
  EXPECT_TRUE(run->Close().ok());
}

TEST_F(ClockJump, BetweenRestarts) {
  for (const int days : {0, -1, 1, -400, 400, 0}) {
    SCOPED_TRACE(days);
    daemon_.Kill();
    SetClock(days);
    ASSERT_TRUE(daemon_.Start(launch_));
    if (epoch_ > 0) ExpectAll();
    const std::unique_ptr<ckpt::Run> run = StartRun();
    ASSERT_NE(run, nullptr);
    Train(*run);
    EXPECT_TRUE(run->Close().ok());
    ExpectAll();
  }
}

}  // namespace
}  // namespace ckpt::integration
