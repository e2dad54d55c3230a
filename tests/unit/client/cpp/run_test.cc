// Events, decisions and saves of a Run while all is well, and the errors of its calls.
#include "ckpt/run.h"

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
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(RunTest, EventsArriveInOrderWithTheirMetrics) {
  auto run = Start();
  ASSERT_TRUE(run->OnTrainBegin().ok());
  ASSERT_TRUE(run->OnEpochBegin(3).ok());
  ASSERT_TRUE(run->OnBatchEnd(0, {{"loss", 0.5}, {"step", 7}}).ok());
  ASSERT_TRUE(run->OnEpochEnd(3, {{"val/loss", 0.25}, {"loss", 0.75}}).ok());
  ASSERT_TRUE(run->OnTrainEnd().ok());
  ASSERT_TRUE(run->Close().ok());
  EXPECT_EQ(Kinds(), "BEbeT");
  EXPECT_EQ(daemon_.events[2].epoch(), 3) << "of the newest epoch begin";
  EXPECT_EQ(daemon_.events[2].integers(0), 7);
  EXPECT_THAT(daemon_.metrics[3],
              ElementsAre(std::pair("loss", 0.75), std::pair("val/loss", 0.25)));
  EXPECT_EQ(daemon_.half_closes, 1);
}

TEST_F(RunTest, HelloSaysWhoTheTrainerIsAndWhatItWants) {
  options_.policies.emplace_back().set_name("best");
  options_.policy_names = {"nightly"};
  options_.labels = {{"team", "vision"}};
  options_.start = RunOptions::StartMode::kFresh;
  options_.resumed_from = "12";
  ASSERT_TRUE(Start()->Close().ok());
  const v1::Hello& hello = daemon_.hellos.at(0);
  EXPECT_EQ(hello.run(), "runs/run");
  EXPECT_EQ(hello.policies(0).name(), "best");
  EXPECT_EQ(hello.policy_names(0), "nightly");
  EXPECT_EQ(hello.labels().at("team"), "vision");
  EXPECT_EQ(hello.start(), v1::Hello::START_FRESH);
  EXPECT_EQ(hello.resumed_from(), "12");
  EXPECT_EQ(hello.writer_epoch(), 0u);
}

TEST_F(RunTest, WelcomeIsToldToTheTrainer) {
  v1::PolicyWarnings& warnings = daemon_.script.warnings.emplace_back();
  warnings.set_policy("best");
  warnings.add_warnings("`period` argument is deprecated.");
  auto run = Start();
  EXPECT_EQ(run->info().name(), "runs/run");
  EXPECT_THAT(run->warnings().at("best"), ElementsAre("`period` argument is deprecated."));
}

TEST_F(RunTest, WaitsForADecisionOnlyWhereOneMayBeDue) {
  daemon_.script.quiet_batches = 3;
  auto run = Start();
  ASSERT_TRUE(run->OnTrainBegin().ok());
  ASSERT_TRUE(run->OnEpochBegin(0).ok());
  for (int batch = 0; batch < 7; ++batch) ASSERT_TRUE(run->OnBatchEnd(batch, {}).ok());
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  ASSERT_TRUE(run->OnTrainEnd().ok());
  ASSERT_TRUE(run->Close().ok());
  EXPECT_EQ(Asked(),
            "nn"
            "nnynnyn"
            "yy");
}

TEST_F(RunTest, ASaveIsPrintedTakenAndUploadedInThisOrder) {
  daemon_.script.decide = [](const v1::Event& event) -> std::optional<v1::Decision> {
    if (event.kind() != v1::Event::KIND_EPOCH_END) return std::nullopt;
    return SaveDecision("Epoch 1: saving model");
  };
  auto run = Start();
  const auto decision = run->OnEpochEnd(0, {{"val_loss", 0.5}});
  ASSERT_TRUE(decision.ok()) << decision.status();
  EXPECT_EQ(decision->policies(0).message(), "Epoch 1: saving model");
  EXPECT_THAT(log_, ElementsAre("print Epoch 1: saving model", "weights runs/run/checkpoints/1"));
  ASSERT_TRUE(run->Close().ok());
  EXPECT_EQ(daemon_.contents["runs/run/checkpoints/1"]["weights"],
            Content("runs/run/checkpoints/1"));
  EXPECT_EQ(daemon_.checkpoints.size(), 1u);
}

TEST_F(RunTest, SeveralSavesAndPartsOfOneEvent) {
  daemon_.script.decide = [](const v1::Event&) -> std::optional<v1::Decision> {
    v1::Decision decision = SaveDecision();
    decision.add_saves()->set_payload(v1::Checkpoint::PAYLOAD_FULL);
    return decision;
  };
  options_.max_uploads = 1;
  options_.weights = [](const v1::Checkpoint& save) {
    return std::vector{PartBytes::Own("weights", save.name()), PartBytes::Own("empty", "")};
  };
  auto run = Start();
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  ASSERT_TRUE(run->Close().ok());
  ASSERT_EQ(daemon_.checkpoints.size(), 2u);
  for (const auto& [name, parts] : daemon_.contents) {
    EXPECT_EQ(parts.at("weights"), name);
    EXPECT_EQ(parts.at("empty"), "");
  }
}

TEST_F(RunTest, AnUnsolicitedSaveIsServedAtTheNextEvent) {
  auto run = Start();
  daemon_.SendDecision(SaveDecision("by an operator"));
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());  // its answer comes after what was sent before
  EXPECT_THAT(log_, ElementsAre("print by an operator", "weights runs/run/checkpoints/1"));
  ASSERT_TRUE(run->Close().ok());
  EXPECT_EQ(daemon_.checkpoints.size(), 1u);
}

TEST_F(RunTest, AnUnsolicitedSaveThatNoEventServesIsGivenUpAtTheEnd) {
  auto run = Start();
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  daemon_.SendDecision(SaveDecision());
  ASSERT_TRUE(run->OnBatchEnd(0, {}).ok());
  daemon_.SendDecision(SaveDecision());
  ASSERT_TRUE(run->Flush().ok());
  (void)run->Close();
  EXPECT_EQ(daemon_.abandoned.size() + daemon_.checkpoints.size(), 2u);
  EXPECT_GE(daemon_.abandoned.size(), 1u);
}

TEST_F(RunTest, AFailedCallbackGivesTheSaveUp) {
  daemon_.script.decide = SaveAtEpochEnds;
  options_.weights = [](const v1::Checkpoint&) {
    return absl::InternalError("CUDA out of memory");
  };
  auto run = Start();
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  const absl::Status status = run->Close();
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("runs/run/checkpoints/1"));
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("CUDA out of memory"));
  ASSERT_EQ(daemon_.abandoned.size(), 1u);
  EXPECT_EQ(daemon_.abandoned[0].save(), "runs/run/checkpoints/1");
  EXPECT_EQ(daemon_.abandoned[0].message(), "CUDA out of memory");
}

TEST_F(RunTest, NoPartsAreAFailedCallback) {
  daemon_.script.decide = SaveAtEpochEnds;
  options_.weights = [](const v1::Checkpoint&) { return std::vector<PartBytes>(); };
  auto run = Start();
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(run->Flush()));
  EXPECT_TRUE(run->Flush().ok()) << "told once";
}

TEST_F(RunTest, ParametersOutsideTheRulesAreRefusedBeforeTheyAreSent) {
  auto run = Start();
  const int64_t above = (int64_t{1} << 53) + 1;
  EXPECT_EQ(ReasonOf(run->OnEpochBegin(-1)), v1::ERROR_REASON_EVENT_INVALID);
  EXPECT_EQ(ReasonOf(run->OnBatchEnd(above, {}).status()), v1::ERROR_REASON_EVENT_INVALID);
  EXPECT_EQ(ReasonOf(run->OnEpochEnd(-1, {}).status()), v1::ERROR_REASON_EVENT_INVALID);
  EXPECT_TRUE(absl::IsInvalidArgument(run->OnEpochEnd(0, {{"", 1.0}}).status()));
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  ASSERT_TRUE(run->Close().ok());
  EXPECT_EQ(Kinds(), "e");
}

TEST_F(RunTest, BadOptionsAreRefusedAtTheStart) {
  RunOptions no_name = options_;
  no_name.run = "";
  EXPECT_EQ(ReasonOf(ckpt::Run::Start(no_name).status()), v1::ERROR_REASON_NAME_INVALID);
  RunOptions no_buffer = options_;
  no_buffer.max_buffered_events = 0;
  EXPECT_EQ(ReasonOf(ckpt::Run::Start(no_buffer).status()), v1::ERROR_REASON_FIELD_INVALID);
  RunOptions no_uploads = options_;
  no_uploads.max_uploads = 0;
  EXPECT_EQ(ReasonOf(ckpt::Run::Start(no_uploads).status()), v1::ERROR_REASON_FIELD_INVALID);
}

TEST_F(RunTest, ARefusedHelloIsTheErrorOfStart) {
  daemon_.script.greet = [](const v1::Hello&) { return RunExists("run"); };
  const auto run = ckpt::Run::Start(options_);
  EXPECT_EQ(ReasonOf(run.status()), v1::ERROR_REASON_RUN_EXISTS);
  EXPECT_EQ(daemon_.hellos.size(), 1u) << "not to be tried again";
}

TEST_F(RunTest, AfterCloseEveryCallFails) {
  auto run = Start();
  ASSERT_TRUE(run->Close().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(run->OnTrainBegin()));
  EXPECT_TRUE(absl::IsFailedPrecondition(run->OnBatchEnd(0, {}).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(run->Flush()));
  EXPECT_TRUE(absl::IsFailedPrecondition(run->Close()));
}

TEST_F(RunTest, AStageBecomesTheCheckpointWithoutAskingForWeights) {
  daemon_.script.decide = SaveAtEpochEnds;
  auto run = Start();
  const auto stage = run->Stage({PartBytes::Own("weights", "staged bytes")});
  ASSERT_TRUE(stage.ok()) << stage.status();
  EXPECT_EQ(daemon_.staged[*stage + "/weights"], "staged bytes");
  ASSERT_TRUE(run->OnBatchEnd(0, Logs(), "another").ok()) << "no policy wants it";
  ASSERT_TRUE(run->OnEpochEnd(0, Logs(), *stage).ok());
  EXPECT_TRUE(log_.empty()) << "nobody was asked for weights";
  EXPECT_EQ(daemon_.events.back().staged_upload(), *stage);
  v1::SaveOutcome outcome;
  outcome.set_save("runs/run/checkpoints/1");
  outcome.mutable_checkpoint()->set_name(outcome.save());
  daemon_.SendOutcome(outcome);
  EXPECT_TRUE(run->Close().ok());
}

TEST_F(RunTest, AStageThatFailsIsDiscarded) {
  auto run = Start();
  daemon_.With([](FakeDaemon& daemon) {
    daemon.script.upload_error = LimitExceeded("part", 1, 2);
    return 0;
  });
  EXPECT_EQ(ReasonOf(run->Stage({PartBytes::Own("weights", "x")}).status()),
            v1::ERROR_REASON_LIMIT_EXCEEDED);
  EXPECT_EQ(daemon_.deleted.size(), 1u);
}

}  // namespace
}  // namespace ckpt
