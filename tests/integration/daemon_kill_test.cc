// The daemon is killed or stopped in the middle of a training and started again. The trainer goes
// on, and what is there at the end is what would be there without.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "tests/integration/run_view.h"
#include "tests/integration/training.h"

namespace ckpt::integration {
namespace {

struct Outcome {
  std::string score;
  RunView view;
};

struct Disturbance {
  std::string name;
  std::vector<int> epochs;  // after whose lines it happens
  bool kill = true;         // SIGKILL, or else SIGTERM
};

// Trains with a daemon that goes and comes back.
void Train(const Disturbance& disturbance, Outcome* outcome) {
  const ScratchFolder folder;
  DaemonProcess daemon(folder);
  ASSERT_TRUE(daemon.Start());
  Process trainer(TrainDigits(daemon));
  for (const int epoch : disturbance.epochs) {
    ASSERT_TRUE(trainer.ReadUntil(EpochLine(epoch))) << "epoch " << epoch;
    if (disturbance.kill) {
      daemon.Kill();
    } else {
      EXPECT_EQ(daemon.Stop(), 0);
    }
    ASSERT_TRUE(daemon.Start());
  }
  outcome->score = trainer.ReadUntil(kScoreLine).value_or("");
  EXPECT_NE(outcome->score, "");
  EXPECT_EQ(trainer.Wait(), 0);
  outcome->view = Observe(daemon, kRun);

  // And what the daemon has told survives one more start.
  daemon.Kill();
  ASSERT_TRUE(daemon.Start());
  EXPECT_EQ(Observe(daemon, kRun).checkpoints, outcome->view.checkpoints);
  EXPECT_EQ(daemon.Stop(), 0);
}

const Outcome& Undisturbed() {
  static const Outcome* const kOutcome = [] {
    auto* outcome = new Outcome;
    Train({.name = "Never", .epochs = {}}, outcome);
    return outcome;
  }();
  return *kOutcome;
}

class DaemonKill : public testing::TestWithParam<Disturbance> {};

TEST_P(DaemonKill, LeavesTheSameResult) {
  ASSERT_GE(Undisturbed().view.checkpoints.size(), 10U);
  Outcome outcome;
  Train(GetParam(), &outcome);
  EXPECT_EQ(outcome.score, Undisturbed().score);
  EXPECT_EQ(outcome.view.checkpoints, Undisturbed().view.checkpoints);
  EXPECT_EQ(outcome.view.events, Undisturbed().view.events);
  EXPECT_EQ(outcome.view.files, Undisturbed().view.files);
}

INSTANTIATE_TEST_SUITE_P(
    , DaemonKill,
    testing::Values(Disturbance{.name = "KilledAtTheFirstEpoch", .epochs = {1}},
                    Disturbance{.name = "KilledInTheMiddle", .epochs = {7}},
                    Disturbance{.name = "KilledInTheLastEpoch", .epochs = {kEpochs - 1}},
                    Disturbance{.name = "KilledAgainAndAgain", .epochs = {1, 2, 3, 4, 5, 6, 7, 8}},
                    Disturbance{.name = "StoppedInTheMiddle", .epochs = {7}, .kill = false},
                    Disturbance{.name = "StoppedAgainAndAgain",
                                .epochs = {1, 2, 3, 4, 5, 6, 7, 8},
                                .kill = false}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace ckpt::integration
