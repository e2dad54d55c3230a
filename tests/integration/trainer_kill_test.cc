// The trainer is killed and started again with --resume.
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "ckpt/client.h"
#include "tests/integration/run_view.h"
#include "tests/integration/training.h"

namespace ckpt::integration {
namespace {

struct Kills {
  std::string name;
  std::vector<int> epochs;         // after whose lines the trainer is killed
  std::vector<std::string> flags;  // of the trainer
  bool kill_daemon = false;        // kill it, too, and start it before the trainer
};

std::string Config(const ScratchFolder& folder) {
  const std::string path = folder / "ckptd.yaml";
  std::ofstream(path)
      << "policies:\n"
         "  - {name: batches, filepath: 'step/{epoch}-{batch}.st', save_freq: 37}\n";
  return path;
}

// Best val_loss among the checkpoints that exist; +inf if there are none.
double BestLoss(const DaemonProcess& daemon) {
  Client client({.server = daemon.server()});
  const auto best = client.GetBest(kRun, "val_loss", "min", "best");
  return best.ok() ? best->metrics().at("val_loss") : HUGE_VAL;
}

std::string UndisturbedScore() {
  const ScratchFolder folder;
  DaemonProcess daemon(folder);
  EXPECT_TRUE(daemon.Start());
  Process trainer(TrainDigits(daemon));
  return trainer.ReadUntil(kScoreLine).value_or("no score");
}

class TrainerKill : public testing::TestWithParam<Kills> {};

TEST_P(TrainerKill, ResumesToTheSameBits) {
  const ScratchFolder folder;
  DaemonProcess daemon(folder, {"--config", Config(folder)});
  ASSERT_TRUE(daemon.Start());
  std::vector<std::string> flags = GetParam().flags;
  double best = HUGE_VAL;
  for (const int epoch : GetParam().epochs) {
    Process trainer(TrainDigits(daemon, flags));
    ASSERT_TRUE(trainer.ReadUntil(EpochLine(epoch))) << "epoch " << epoch;
    trainer.Signal(SIGKILL);
    EXPECT_EQ(trainer.Wait(), 128 + SIGKILL);
    if (GetParam().kill_daemon) {
      daemon.Kill();
      ASSERT_TRUE(daemon.Start());
    }
    EXPECT_LE(BestLoss(daemon), best) << "the best was lost";
    best = BestLoss(daemon);
    flags = GetParam().flags;
    flags.push_back("--resume");
  }
  Process trainer(TrainDigits(daemon, flags));
  EXPECT_TRUE(trainer.ReadUntil("resuming from runs/digits/checkpoints/"));
  EXPECT_EQ(trainer.ReadUntil(kScoreLine), UndisturbedScore());
  EXPECT_EQ(trainer.Wait(), 0);
  EXPECT_LE(BestLoss(daemon), best);
  Observe(daemon, kRun);  // every file is what its checkpoint says
  EXPECT_EQ(daemon.Stop(), 0);
}

INSTANTIATE_TEST_SUITE_P(
    , TrainerKill,
    testing::Values(Kills{.name = "Once", .epochs = {6}},
                    Kills{.name = "AgainAndAgain", .epochs = {2, 4, 6, 8, 10, 12}},
                    // All checkpoints are in mid-epoch.
                    Kills{.name = "MidEpoch", .epochs = {3, 9}, .flags = {"--policy", "batches"}},
                    Kills{.name = "WithTheDaemon", .epochs = {3, 6, 9}, .kill_daemon = true}),
    [](const auto& test) { return test.param.name; });

// A second trainer of the run takes it over; the first is told, and does not go on writing.
TEST(Takeover, TheOlderTrainerEnds) {
  const ScratchFolder folder;
  DaemonProcess daemon(folder);
  ASSERT_TRUE(daemon.Start());
  Command command = TrainDigits(daemon);
  command.stderr_path = folder / "older";
  Process older(command);
  ASSERT_TRUE(older.ReadUntil(EpochLine(2)));
  older.Signal(SIGSTOP);
  Process newer(TrainDigits(daemon, {"--resume"}));
  EXPECT_EQ(newer.ReadUntil(kScoreLine), UndisturbedScore());
  EXPECT_EQ(newer.Wait(), 0);
  const RunView before = Observe(daemon, kRun);
  older.Signal(SIGCONT);
  EXPECT_FALSE(older.ReadUntil(kScoreLine));
  EXPECT_EQ(older.Wait(), 1);
  EXPECT_EQ(Observe(daemon, kRun).events, before.events);
  EXPECT_EQ(Observe(daemon, kRun).checkpoints, before.checkpoints);
}

// Without --resume an existing run is not touched.
TEST(Start, RefusesARunThatExists) {
  const ScratchFolder folder;
  DaemonProcess daemon(folder);
  ASSERT_TRUE(daemon.Start());
  ASSERT_EQ(RunToEnd(TrainDigits(daemon)).exit_code, 0);
  const RunView before = Observe(daemon, kRun);
  const Finished again = RunToEnd(TrainDigits(daemon));
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_NE(again.err.find(kRun), std::string::npos) << again.err;
  EXPECT_EQ(Observe(daemon, kRun).events, before.events);
}

// Resuming when there is nothing to resume from, and when there is nothing left to do.
TEST(Resume, WorksAtBothEnds) {
  const ScratchFolder folder;
  DaemonProcess daemon(folder);
  ASSERT_TRUE(daemon.Start());
  const Finished first = RunToEnd(TrainDigits(daemon, {"--resume"}));
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_NE(first.out.find("no checkpoint yet"), std::string::npos) << first.out;
  const Finished second = RunToEnd(TrainDigits(daemon, {"--resume"}));
  EXPECT_EQ(second.exit_code, 0) << second.err;
  const auto score = [](const std::string& out) { return out.substr(out.rfind(kScoreLine)); };
  EXPECT_EQ(score(second.out), score(first.out));
}

// Stopped for longer than the daemon waits for a word of it: its streams end, and once it goes on
// it comes back and trains as if nothing had been.
TEST(TrainerStop, BeyondItsLeaseChangesNothing) {
  const ScratchFolder undisturbed_folder;
  DaemonProcess undisturbed(undisturbed_folder);
  ASSERT_TRUE(undisturbed.Start());
  ASSERT_EQ(RunToEnd(TrainDigits(undisturbed)).exit_code, 0);

  const ScratchFolder folder;
  const std::string config = folder / "ckptd.yaml";
  std::ofstream(config) << "limits: {keepalive_seconds: 1, upload_idle_seconds: 1}\n";
  DaemonProcess daemon(folder, {"--config", config});
  ASSERT_TRUE(daemon.Start());
  Client client({.server = daemon.server()});
  Process trainer(TrainDigits(daemon));
  for (const int epoch : {1, 5, 9}) {
    ASSERT_TRUE(trainer.ReadUntil(EpochLine(epoch))) << "epoch " << epoch;
    trainer.Signal(SIGSTOP);
    for (auto status = client.GetStatus(); status.ok() && status->connected_trainers() > 0;) {
      status = client.GetStatus();
    }
    trainer.Signal(SIGCONT);
  }
  EXPECT_EQ(trainer.Wait(), 0);
  const RunView view = Observe(daemon, kRun);
  const RunView expected = Observe(undisturbed, kRun);
  EXPECT_EQ(view.events, expected.events);
  EXPECT_EQ(view.checkpoints, expected.checkpoints);
  EXPECT_EQ(view.files, expected.files);
}

}  // namespace
}  // namespace ckpt::integration
