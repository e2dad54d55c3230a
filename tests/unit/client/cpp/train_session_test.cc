// A Run while the daemon comes and goes.
#include "client/cpp/src/train_session.h"

#include <gmock/gmock.h>

#include "ckpt/errors.h"
#include "storage/base/errors.h"
#include "tests/unit/client/cpp/run_fixture.h"

namespace ckpt {
namespace {

using ckpt::testing::FakeDaemon;
using ckpt::testing::RunTest;
using ckpt::testing::SaveAtEpochEnds;
using ckpt::testing::SaveDecision;
using ::testing::HasSubstr;

class TrainSessionTest : public RunTest {};

// Two epochs of three batches with a save each; returns the decisions' saves as the trainer saw
// them.
std::vector<std::string> Train(Run& run) {
  std::vector<std::string> saves;
  EXPECT_TRUE(run.OnTrainBegin().ok());
  for (int epoch = 0; epoch < 2; ++epoch) {
    EXPECT_TRUE(run.OnEpochBegin(epoch).ok());
    for (int batch = 0; batch < 3; ++batch) {
      EXPECT_TRUE(run.OnBatchEnd(batch, {{"loss", batch + 0.5}}).ok());
    }
    const auto decision = run.OnEpochEnd(epoch, {{"val_loss", epoch + 0.25}, {"epochs", epoch}});
    EXPECT_TRUE(decision.ok()) << decision.status();
    if (decision.ok() && decision->saves_size() == 1) saves.push_back(decision->saves(0).name());
  }
  EXPECT_TRUE(run.OnTrainEnd().ok());
  return saves;
}

TEST_F(TrainSessionTest, ABreakAtAnyMessageChangesNothing) {
  const std::vector<std::string> expected = {"runs/run/checkpoints/1", "runs/run/checkpoints/2"};
  int cuts = 1;
  int cut = 0;
  while (cuts > 0) {  // until the cut lies behind the last message
    SCOPED_TRACE(++cut);
    FakeDaemon daemon;
    daemon.script.decide = SaveAtEpochEnds;
    daemon.script.quiet_batches = 1 << 20;
    daemon.script.cut_train_at = cut;
    options_.server = daemon.address();
    auto run = Start();
    ASSERT_NE(run, nullptr);
    EXPECT_EQ(Train(*run), expected);
    EXPECT_TRUE(run->Close().ok());
    ASSERT_EQ(daemon.events.size(), 12u);
    for (size_t i = 0; i < daemon.events.size(); ++i) EXPECT_EQ(daemon.events[i].seq(), i + 1);
    EXPECT_EQ(daemon.metrics[2], (std::map<std::string, double>{{"loss", 0.5}}));
    EXPECT_EQ(daemon.metrics[10],
              (std::map<std::string, double>{{"val_loss", 1.25}, {"epochs", 1}}));
    EXPECT_EQ(daemon.checkpoints.size(), 2u);
    EXPECT_TRUE(daemon.abandoned.empty());
    cuts = daemon.cuts;
    ASSERT_LT(cut, 200);
  }
  EXPECT_GT(cut, 10) << "the sweep has broken many streams";
}

TEST_F(TrainSessionTest, AReconnectSaysWhereTheTrainerIs) {
  daemon_.script.decide = SaveAtEpochEnds;
  options_.start = RunOptions::StartMode::kFresh;
  options_.resumed_from = "3";
  auto run = Start();
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  ASSERT_TRUE(run->Flush().ok());
  daemon_.Restart();
  ASSERT_TRUE(run->OnEpochEnd(1, {}).ok());
  ASSERT_TRUE(run->Close().ok());
  ASSERT_GE(daemon_.hellos.size(), 2u);
  const v1::Hello& again = daemon_.hellos.back();
  EXPECT_EQ(again.writer_epoch(), 1u);
  EXPECT_EQ(again.last_decided_seq(), 1u);
  EXPECT_EQ(again.start(), v1::Hello::START_RESUME) << "a fresh start is not made twice";
  EXPECT_EQ(again.resumed_from(), "");
}

TEST_F(TrainSessionTest, EventsWaitForTheDaemonNotTheTrainerForThem) {
  daemon_.script.quiet_batches = 1 << 20;
  auto run = Start();
  ASSERT_TRUE(run->OnBatchEnd(0, {{"loss", 1.0}}).ok());
  ASSERT_TRUE(run->Flush().ok());
  daemon_.Stop();
  for (int batch = 1; batch <= 1000; ++batch) {
    ASSERT_TRUE(run->OnBatchEnd(batch, {{"loss", 1.0 / batch}}).ok());
  }
  const int before = daemon_.batches;
  daemon_.Restart();
  ASSERT_TRUE(run->Close().ok());
  EXPECT_EQ(daemon_.events.size(), 1001u);
  EXPECT_LE(daemon_.batches - before, 2) << "events that wait together travel together";
  EXPECT_THAT(notices_.front(), HasSubstr("events are kept"));
  EXPECT_THAT(notices_.back(), HasSubstr("answers"));
}

TEST_F(TrainSessionTest, CountsQuietBatchesAnewAfterAReconnect) {
  daemon_.script.quiet_batches = 1 << 20;
  auto run = Start();
  ASSERT_TRUE(run->OnBatchEnd(0, {}).ok());
  ASSERT_TRUE(run->Flush().ok());
  daemon_.With([](FakeDaemon& daemon) {
    daemon.script.quiet_batches = 3;
    return 0;
  });
  daemon_.Restart();
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  ASSERT_TRUE(run->OnBatchEnd(1, {}).ok());
  ASSERT_TRUE(run->OnBatchEnd(2, {}).ok());
  ASSERT_TRUE(run->Close().ok());
  EXPECT_EQ(Asked(), "nyny");
}

TEST_F(TrainSessionTest, GivesUpAfterTheReconnectTimeout) {
  options_.reconnect_timeout = std::chrono::milliseconds(100);
  auto run = Start();
  daemon_.Stop();
  const auto decision = run->OnEpochEnd(0, {});
  EXPECT_TRUE(absl::IsUnavailable(decision.status())) << decision.status();
  EXPECT_THAT(std::string(MessageOf(decision.status())), HasSubstr(daemon_.address()));
  EXPECT_TRUE(absl::IsUnavailable(run->Flush()));
  EXPECT_TRUE(absl::IsUnavailable(run->Close()));
}

TEST_F(TrainSessionTest, AnAnswerThatCameTooLateIsServedLater) {
  options_.reconnect_timeout = std::chrono::milliseconds(100);
  daemon_.script.decide = SaveAtEpochEnds;
  auto run = Start();
  daemon_.Stop();
  ASSERT_FALSE(run->OnEpochEnd(0, {}).ok());
  daemon_.Restart();
  AwaitNotice("answers");
  ASSERT_TRUE(run->OnEpochEnd(1, {}).ok());
  EXPECT_EQ(log_.front(), "weights runs/run/checkpoints/1");
  EXPECT_TRUE(run->Close().ok());
  EXPECT_EQ(daemon_.checkpoints.size(), 2u);
}

TEST_F(TrainSessionTest, AFullBufferMakesTheTrainerWait) {
  options_.reconnect_timeout = std::chrono::milliseconds(100);
  options_.max_buffered_events = 4;
  daemon_.script.quiet_batches = 1 << 20;
  auto run = Start();
  daemon_.Stop();
  for (int batch = 0; batch < 4; ++batch) ASSERT_TRUE(run->OnBatchEnd(batch, {}).ok()) << batch;
  EXPECT_TRUE(absl::IsUnavailable(run->OnBatchEnd(4, {}).status()));
  daemon_.Restart();
  AwaitNotice("answers");
  EXPECT_TRUE(run->OnBatchEnd(4, {}).ok());
  EXPECT_TRUE(run->Close().ok());
  EXPECT_EQ(daemon_.events.size(), 5u);
}

TEST_F(TrainSessionTest, StartWaitsForTheDaemon) {
  daemon_.Stop();
  options_.reconnect_timeout = std::chrono::milliseconds(50);
  EXPECT_TRUE(absl::IsUnavailable(ckpt::Run::Start(options_).status()));
  options_.reconnect_timeout = std::chrono::seconds(60);
  std::thread starter([this] { daemon_.Restart(); });
  EXPECT_TRUE(ckpt::Run::Start(options_).ok());
  starter.join();
}

TEST_F(TrainSessionTest, ANewerTrainerEndsTheOlderOne) {
  auto older = Start();
  auto newer = Start();
  daemon_.Restart();
  const absl::Status status = older->OnEpochEnd(0, {}).status();
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_WRITER_FENCED) << status;
  EXPECT_EQ(ReasonOf(older->OnTrainEnd()), v1::ERROR_REASON_WRITER_FENCED);
  EXPECT_TRUE(newer->OnEpochEnd(0, {}).ok());
}

TEST_F(TrainSessionTest, ADaemonThatLostDurableEventsIsAnErrorNotAGap) {
  auto run = Start();
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  ASSERT_TRUE(run->Flush().ok());
  daemon_.With([](FakeDaemon& daemon) {
    daemon.events.clear();
    return 0;
  });
  daemon_.Restart();
  EXPECT_EQ(ReasonOf(run->OnEpochEnd(1, {}).status()), v1::ERROR_REASON_SEQUENCE_GAP);
}

TEST_F(TrainSessionTest, ALostUnsolicitedSaveIsTakenUpFromWelcome) {
  auto run = Start();
  daemon_.With([](FakeDaemon& daemon) {
    daemon.open_saves["runs/run/checkpoints/77"].set_name("runs/run/checkpoints/77");
    return 0;
  });
  daemon_.Restart();
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  ASSERT_TRUE(run->Close().ok());
  EXPECT_TRUE(daemon_.checkpoints.contains("runs/run/checkpoints/77"));
}

TEST_F(TrainSessionTest, AForgottenSaveIsGivenUpAgain) {
  auto run = Start();
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  ASSERT_TRUE(run->Flush().ok());
  daemon_.With([](FakeDaemon& daemon) {
    v1::Checkpoint& save = daemon.open_saves["runs/run/checkpoints/77"];
    save.set_name("runs/run/checkpoints/77");
    save.set_seq(1);
    return 0;
  });
  daemon_.Restart();
  ASSERT_TRUE(run->OnEpochEnd(1, {}).ok());
  ASSERT_TRUE(run->Close().ok());
  ASSERT_EQ(daemon_.abandoned.size(), 1u);
  EXPECT_EQ(daemon_.abandoned[0].save(), "runs/run/checkpoints/77");
}

TEST_F(TrainSessionTest, ARunCanBeDroppedWhateverTheDaemonDoes) {
  daemon_.script.decide = SaveAtEpochEnds;
  daemon_.script.hold_progress = true;
  daemon_.script.quiet_batches = 1 << 20;
  auto connected = Start();
  ASSERT_TRUE(connected->OnEpochEnd(0, {}).ok());
  auto lost = Start();
  ASSERT_TRUE(lost->OnEpochEnd(1, {}).ok());
  connected.reset();
  daemon_.Stop();
  ASSERT_TRUE(lost->OnBatchEnd(0, {}).ok());
  lost.reset();
}

TEST_F(TrainSessionTest, FlushFromAnotherThreadWaitsForWhatIsNotDurable) {
  daemon_.script.hold_progress = true;
  daemon_.script.quiet_batches = 1 << 20;
  auto run = Start();
  ASSERT_TRUE(run->OnBatchEnd(0, {}).ok());
  absl::Status flushed = absl::UnknownError("waiting");
  std::thread flusher([&] { flushed = run->Flush(); });
  ASSERT_TRUE(run->OnBatchEnd(1, {}).ok());
  daemon_.With([](FakeDaemon& daemon) {
    daemon.script.hold_progress = false;
    return 0;
  });
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  flusher.join();
  EXPECT_TRUE(flushed.ok()) << flushed;
}

}  // namespace
}  // namespace ckpt
