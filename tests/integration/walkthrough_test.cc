// What the README and the quick start show, step by step.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/integration/ckptctl.h"
#include "tests/integration/run_view.h"
#include "tests/integration/training.h"

namespace ckpt::integration {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

class Walkthrough : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(daemon_.Start());
    const Finished trained = RunToEnd(TrainDigits(daemon_));
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    training_ = trained.out;
  }

  Finished Ctl(const std::vector<std::string>& arguments) { return Ckptctl(daemon_, arguments); }

  Json Ask(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"-o", "json"});
    const Finished finished = Ctl(arguments);
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    return Json::parse(finished.out, nullptr, false);
  }

  const ScratchFolder folder_;
  DaemonProcess daemon_{folder_};
  std::string training_;
};

TEST_F(Walkthrough, TrainingPrintsTheWordsOfModelCheckpoint) {
  EXPECT_THAT(training_, HasSubstr("\nEpoch 1: val_loss improved from inf to "));
  EXPECT_THAT(training_, HasSubstr(", saving model to weights.01-"));
}

TEST_F(Walkthrough, ListShowsEveryCheckpointAndBestTheBest) {
  const Json list = Ask({"list", kRun});
  ASSERT_TRUE(list.is_array());
  double least = HUGE_VAL;
  int by_batches = 0;
  for (const Json& checkpoint : list) {
    for (const Json& placement : checkpoint["placements"]) {
      by_batches += placement["policy"] == "every50";
    }
    if (checkpoint["metrics"].contains("val_loss")) {
      least = std::min(least, checkpoint["metrics"]["val_loss"].get<double>());
    }
  }
  EXPECT_EQ(by_batches, kEpochs * 45 / 50);
  EXPECT_EQ(Ask({"best", kRun})["metrics"]["val_loss"].get<double>(), least);
  EXPECT_THAT(Ctl({"list", kRun}).out, HasSubstr("every50"));
}

TEST_F(Walkthrough, RunsShowsTheRun) {
  const Json runs = Ask({"runs"});
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0]["name"], "runs/digits");
  EXPECT_EQ(runs[0]["state"], "STATE_ENDED");
}

TEST_F(Walkthrough, TheFetchedBestScoresWhatWasRecorded) {
  const std::string model = folder_ / "best.safetensors";
  const Finished fetched = Ctl({"fetch", "digits@best", "-o", model});
  ASSERT_EQ(fetched.exit_code, 0) << fetched.err;
  EXPECT_FALSE(std::filesystem::exists(model + ".part"));
  const Finished scored = RunToEnd(
      {.argv = {TRAIN_DIGITS_BINARY, "--evaluate", model}, .environment = {}, .stderr_path = ""});
  ASSERT_EQ(scored.exit_code, 0) << scored.err;
  ASSERT_THAT(scored.out, HasSubstr(kScoreLine));
  const Json best = Ask({"best", kRun});
  EXPECT_EQ(std::stod(scored.out.substr(scored.out.find(' '))),
            best["metrics"]["val_loss"].get<double>());
}

TEST_F(Walkthrough, RemovedCheckpointsAreGoneAndTheNextBestTakesOver) {
  const Json best = Ask({"best", kRun});
  const std::string name = best["name"];
  const std::string id = name.substr(name.rfind('/') + 1);
  const Finished removed = Ctl({"rm", "digits@" + id, "--yes"});
  EXPECT_EQ(removed.exit_code, 0) << removed.err;
  EXPECT_EQ(Ctl({"show", "digits@" + id}).exit_code, 3);
  EXPECT_GT(Ask({"best", kRun})["metrics"]["val_loss"].get<double>(),
            best["metrics"]["val_loss"].get<double>());
  Observe(daemon_, kRun);  // its file is gone, too
}

TEST_F(Walkthrough, StatusCounts) {
  const Json status = Ask({"status"});
  EXPECT_EQ(status["runs"], "1");
  EXPECT_EQ(status["checkpoints"], std::to_string(Ask({"list", kRun}).size()));
  EXPECT_EQ(status["serving"], true);
}

TEST_F(Walkthrough, ExitCodesSayWhatIsWrong) {
  EXPECT_EQ(Ctl({"list", "nosuchrun"}).exit_code, 3);
  EXPECT_EQ(Ctl({"nosuchcommand"}).exit_code, 2);
  EXPECT_EQ(Ctl({"list", kRun, "--filter", "what?"}).exit_code, 2);
  daemon_.Kill();
  const Finished unavailable = Ctl({"runs"});
  EXPECT_EQ(unavailable.exit_code, 4);
  EXPECT_EQ(unavailable.out, "");
  EXPECT_THAT(unavailable.err, HasSubstr(daemon_.server()));
}

TEST_F(Walkthrough, TheMinimalTrainerWorks) {
  const Finished trained = RunToEnd({.argv = {MINIMAL_TRAINER_BINARY},
                                     .environment = {{"CKPT_SERVER", daemon_.server()}},
                                     .stderr_path = ""});
  EXPECT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_EQ(Observe(daemon_, "minimal").checkpoints.size(), 10U);
}

}  // namespace
}  // namespace ckpt::integration
