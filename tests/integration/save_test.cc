// `ckptctl save`, the client library and the real daemon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "ckpt/client.h"
#include "ckpt/run.h"
#include "tests/integration/ckptctl.h"
#include "tests/integration/daemon_process.h"

namespace ckpt::integration {
namespace {

using ::testing::HasSubstr;

class SaveTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(daemon_.Start()); }

  void StartRun(bool shared_memory) {
    v1::CheckpointPolicy policy;
    policy.set_name("best");
    policy.set_filepath("best");
    policy.set_save_best_only(true);
    RunOptions options;
    options.server = daemon_.server();
    options.run = "run";
    options.policies = {policy};
    options.shared_memory = shared_memory;
    options.weights = [this](const v1::Checkpoint&) {
      return std::vector<PartBytes>{PartBytes::Own("weights", "moment " + std::to_string(moment_))};
    };
    auto run = ckpt::Run::Start(options);
    ASSERT_TRUE(run.ok()) << run.status();
    run_ = *std::move(run);
  }
  void Epoch() {
    const int64_t epoch = moment_++;
    EXPECT_TRUE(run_->OnEpochEnd(epoch, {{"val_loss", epoch == 0 ? 0.5 : 1.0}}).ok());
  }
  Finished Ctl(const std::vector<std::string>& arguments) { return Ckptctl(daemon_, arguments); }

  const ScratchFolder folder_;
  DaemonProcess daemon_{folder_};
  std::unique_ptr<ckpt::Run> run_;
  int64_t moment_ = 0;
};

TEST_F(SaveTest, TheTrainerSavesAtItsNextEvent) {
  for (const bool shared_memory : {false, true}) {
    StartRun(shared_memory);
    Epoch();
    const Finished asked = Ctl({"-o", "name", "save", "run", "--no-wait"});
    ASSERT_EQ(asked.exit_code, 0) << asked.err;
    Epoch();
    ASSERT_TRUE(run_->Close().ok());
    Client client({.server = daemon_.server()});
    const std::string id = asked.out.substr(4, asked.out.size() - 5);
    const auto bytes = client.Read("run", id);
    ASSERT_TRUE(bytes.ok()) << asked.out << bytes.status();
    EXPECT_EQ(*bytes, "moment " + std::to_string(moment_)) << "those of the event after the call";
  }
}

TEST_F(SaveTest, TheCommandWaitsForTheCheckpoint) {
  StartRun(true);
  Epoch();
  std::future<Finished> command = std::async(std::launch::async, [this] {
    return Ctl({"-o", "name", "save", "run"});
  });
  // The trainer trains on meanwhile, whenever that is.
  while (command.wait_for(std::chrono::seconds(0)) != std::future_status::ready) Epoch();
  const Finished saved = command.get();
  EXPECT_EQ(saved.exit_code, 0) << saved.err;
  EXPECT_EQ(saved.out, "run@2\n");
  EXPECT_EQ(saved.err, "run@2 is on its way\n");
  const Finished best = Ctl({"-o", "name", "best", "run"});
  EXPECT_EQ(best.out, "run@1\n");
}

TEST_F(SaveTest, ExitCodesTellWhatIsWrong) {
  Finished saved = Ctl({"save", "run"});
  EXPECT_EQ(saved.exit_code, 3) << saved.err;
  StartRun(true);
  saved = Ctl({"save", "run", "--wait", "0.2"});
  EXPECT_EQ(saved.exit_code, 4) << saved.err;
  EXPECT_THAT(saved.err, HasSubstr("run@1 is not committed after 0.2 s"));
  ASSERT_TRUE(run_->Close().ok());
  saved = Ctl({"save", "run"});
  EXPECT_EQ(saved.exit_code, 1) << saved.err;
  EXPECT_THAT(saved.err, HasSubstr("has no trainer"));
  daemon_.Kill();
  saved = Ctl({"save", "run"});
  EXPECT_EQ(saved.exit_code, 4) << saved.err;
}

}  // namespace
}  // namespace ckpt::integration
