#include <fmt/format.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <functional>
#include <map>

#include "wire.h"

namespace ckpt::wire {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class TrainWireTest : public WireTest {
 protected:
  static v1::Hello WithBest() {
    v1::Hello hello;
    *hello.add_policies() = BestPolicy();
    return hello;
  }
};

TEST_F(TrainWireTest, ASaveIsDecidedUploadedAndCommitted) {
  Trainer trainer(Channel());
  const auto welcome = trainer.Hello(WithBest());
  ASSERT_TRUE(welcome);
  EXPECT_EQ(welcome->writer_epoch(), 1u);
  EXPECT_GT(welcome->limits().max_chunk_bytes(), 0);
  const auto decision = trainer.Epoch(1, 0, 0.5);
  ASSERT_TRUE(decision);
  ASSERT_THAT(decision->saves(), SizeIs(1));
  EXPECT_EQ(decision->policies(0).filepath(), "m-01");
  EXPECT_THAT(List(), IsEmpty()) << "nothing is listed before it is committed";
  ASSERT_TRUE(UploadAll(decision->saves(0).name(), "weights").ok());
  const auto outcome = trainer.NextOutcome();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->checkpoint().state(), v1::Checkpoint::STATE_COMMITTED);
  ASSERT_THAT(List(), SizeIs(1));
  EXPECT_EQ(Download("runs/r/checkpoints/latest"), "weights");
  EXPECT_TRUE(std::filesystem::is_regular_file(RunFolder() + "/m-01"));
  EXPECT_TRUE(trainer.Finish().ok());
}

TEST_F(TrainWireTest, HelloComesFirstAndOnce) {
  Trainer early(Channel());
  early.Send(Events({EpochEnd(1, 0, 1)}));
  EXPECT_EQ(ReasonOf(early.Finish()), "PROTOCOL");
  Trainer twice(Channel());
  ASSERT_TRUE(twice.Hello());
  EXPECT_FALSE(twice.Hello());
  EXPECT_EQ(ReasonOf(twice.Finish()), "PROTOCOL");
  Trainer empty(Channel());
  empty.Send({});
  EXPECT_EQ(ReasonOf(empty.Finish()), "PROTOCOL");
}

TEST_F(TrainWireTest, BadPoliciesAreRefusedAndNothingIsCreated) {
  struct Case {
    const char* what;
    std::function<void(v1::CheckpointPolicy&)> spoil;
    const char* reason;
    const char* message;
  };
  const Case cases[] = {
      {"save_freq", [](auto& p) { p.mutable_save_freq()->set_string_value("weekly"); },
       "SAVE_FREQ_INVALID",
       "Unrecognized save_freq: weekly. Expected save_freq are \"epoch\" or integer"},
      {"no filepath", [](auto& p) { p.clear_filepath(); }, "", "filepath"},
      {"absolute", [](auto& p) { p.set_filepath("/etc/passwd"); }, "PATH_ESCAPES", "/etc/passwd"},
      {"parent", [](auto& p) { p.set_filepath("a/../../b"); }, "PATH_ESCAPES", ".."},
      {"NUL", [](auto& p) { p.set_filepath(std::string("a\0b", 3)); }, "PATH_ESCAPES", "NUL"},
      {"width", [](auto& p) { p.set_filepath("{epoch:9999999999d}"); }, "PATH_TOO_LONG", "width"},
      {"precision", [](auto& p) { p.set_filepath("{loss:.999f}"); }, "PATH_TOO_LONG", "precision"},
      {"long", [](auto& p) { p.set_filepath(std::string(5000, 'a')); }, "PATH_TOO_LONG", ""},
      {"name", [](auto& p) { p.set_name("a b"); }, "NAME_INVALID", "a b"},
      {"no name", [](auto& p) { p.clear_name(); }, "NAME_INVALID", "policy"},
  };
  for (const Case& test : cases) {
    v1::Hello hello = WithBest();
    test.spoil(*hello.mutable_policies(0));
    Trainer trainer(Channel());
    EXPECT_FALSE(trainer.Hello(hello)) << test.what;
    const grpc::Status status = trainer.Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << test.what;
    EXPECT_THAT(ReasonOf(status), HasSubstr(test.reason)) << test.what;
    EXPECT_THAT(status.error_message(), HasSubstr(test.message)) << test.what;
  }
  grpc::ClientContext context;
  v1::GetRunRequest request;
  request.set_name("runs/r");
  v1::Run run;
  EXPECT_EQ(ReasonOf(catalog_->GetRun(&context, request, &run)), "RUN_NOT_FOUND");
}

TEST_F(TrainWireTest, AnUnknownModeWarnsAndActsAsAuto) {
  v1::Hello hello = WithBest();
  hello.mutable_policies(0)->set_mode("unknown");
  Trainer trainer(Channel());
  const auto welcome = trainer.Hello(hello);
  ASSERT_TRUE(welcome);
  ASSERT_THAT(welcome->warnings(0).warnings(), SizeIs(1));
  EXPECT_EQ(welcome->warnings(0).warnings(0),
            "ModelCheckpoint mode unknown is unknown, fallback to auto mode.");
}

TEST_F(TrainWireTest, ConfiguredPoliciesMustExist) {
  v1::Hello hello;
  hello.add_policy_names("nope");
  Trainer trainer(Channel());
  EXPECT_FALSE(trainer.Hello(hello));
  EXPECT_EQ(ReasonOf(trainer.Finish()), "POLICY_NOT_FOUND");
}

TEST_F(TrainWireTest, BadEventsEndTheStreamAndLoseNothing) {
  struct Case {
    const char* what;
    v1::TrainRequest request;
    grpc::StatusCode code;
    const char* reason;
  };
  v1::Event crowded = EpochEnd(2, 1, 0.4);
  for (int i = 0; i < 10'000; ++i) {
    crowded.add_metric_ids(static_cast<uint32_t>(i + 2));
    crowded.add_values(0);
  }
  v1::Event unnamed = EpochEnd(2, 1, 0.4);
  unnamed.set_metric_ids(0, 77);
  const Case cases[] = {
      {"gap", Events({EpochEnd(3, 1, 0.4)}), grpc::StatusCode::OUT_OF_RANGE, "SEQUENCE_GAP"},
      {"10 KB name", Events({EpochEnd(2, 1, 0.4)}, std::string(10'240, 'm')),
       grpc::StatusCode::RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED"},
      {"10,000 metrics", Events({crowded}), grpc::StatusCode::RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED"},
      {"unnamed metric", Events({unnamed}), grpc::StatusCode::INVALID_ARGUMENT, "EVENT_INVALID"},
      {"5 MiB message", Events({}, std::string(5 << 20, 'm')), grpc::StatusCode::RESOURCE_EXHAUSTED,
       ""},
      {"name that is no text", Events({}, "\xff"), grpc::StatusCode::FAILED_PRECONDITION,
       "PROTOCOL"},
  };
  {
    Trainer trainer(Channel());
    ASSERT_TRUE(trainer.Hello(WithBest()));
    ASSERT_TRUE(trainer.Epoch(1, 0, 0.5));
    ASSERT_TRUE(trainer.Finish().ok());
  }
  for (const Case& test : cases) {
    Trainer trainer(Channel());
    const auto welcome = trainer.Hello(WithBest());
    ASSERT_TRUE(welcome) << test.what;
    EXPECT_EQ(welcome->durable_seq(), 1u) << test.what;
    trainer.Send(test.request);
    const grpc::Status status = trainer.Finish();
    EXPECT_EQ(status.error_code(), test.code) << test.what << ": " << status.error_message();
    EXPECT_EQ(ReasonOf(status), test.reason) << test.what;
  }
}

TEST_F(TrainWireTest, AHalfCloseIsAnsweredToTheEnd) {
  Trainer trainer(Channel());
  ASSERT_TRUE(trainer.Hello(WithBest()));
  trainer.Send(Events({EpochEnd(1, 0, 0.5)}));
  trainer.HalfClose();
  const auto decision = trainer.NextDecision();
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->saves_size(), 1);
  EXPECT_TRUE(trainer.Finish().ok());
}

TEST_F(TrainWireTest, AStreamWithoutHelloIsAnError) {
  Trainer trainer(Channel());
  EXPECT_EQ(ReasonOf(trainer.Finish()), "PROTOCOL");
}

TEST_F(TrainWireTest, RepeatedEventsAreTakenOnce) {
  Trainer trainer(Channel());
  ASSERT_TRUE(trainer.Hello(WithBest()));
  trainer.Send(Events({EpochEnd(1, 0, 0.5), EpochEnd(1, 0, 0.5), EpochEnd(2, 1, 0.6)}));
  ASSERT_TRUE(trainer.WaitDurable(2));
  grpc::ClientContext context;
  v1::ListEventsRequest request;
  request.set_parent("runs/r");
  v1::ListEventsResponse response;
  ASSERT_TRUE(catalog_->ListEvents(&context, request, &response).ok());
  ASSERT_THAT(response.events(), SizeIs(2));
  EXPECT_EQ(response.events(0).metrics().at("loss"), 0.5);
  EXPECT_EQ(response.events(0).decision().saves_size(), 1);
}

TEST_F(TrainWireTest, TemplateErrorsAreDecisions) {
  const std::pair<const char*, v1::ErrorReason> cases[] = {
      {"m-{nope:.2f}", v1::ERROR_REASON_TEMPLATE_KEY},
      {"m-{epoch:02d", v1::ERROR_REASON_TEMPLATE_VALUE},
      {"m-{}", v1::ERROR_REASON_TEMPLATE_INDEX},
      {"m-{loss:d}", v1::ERROR_REASON_TEMPLATE_VALUE},
  };
  uint64_t seq = 0;
  for (const auto& [filepath, reason] : cases) {
    Trainer trainer(Channel());
    v1::Hello hello;
    *hello.add_policies() = BestPolicy(filepath);
    const auto welcome = trainer.Hello(hello);
    ASSERT_TRUE(welcome) << filepath;
    const auto decision = trainer.Epoch(++seq, 0, 0.5);
    ASSERT_TRUE(decision) << filepath;
    ASSERT_THAT(decision->policies(), SizeIs(1)) << filepath;
    EXPECT_EQ(decision->policies(0).action(), v1::PolicyDecision::ACTION_ERROR) << filepath;
    EXPECT_EQ(decision->policies(0).error().reason(), reason) << filepath;
    EXPECT_THAT(decision->saves(), IsEmpty()) << filepath;
    ASSERT_TRUE(trainer.WaitDurable(seq));
  }
}

TEST_F(TrainWireTest, ASymbolicLinkInTheWayIsRefused) {
  std::filesystem::create_directories(RunFolder());
  std::filesystem::create_directory_symlink("/tmp", RunFolder() + "/out");
  Trainer trainer(Channel());
  v1::Hello hello;
  *hello.add_policies() = BestPolicy("out/m-{epoch}");
  ASSERT_TRUE(trainer.Hello(hello));
  const auto decision = trainer.Epoch(1, 0, 0.5);
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->policies(0).error().reason(), v1::ERROR_REASON_PATH_BLOCKED);
  EXPECT_THAT(decision->policies(0).error().message(), HasSubstr("symbolic link"));
}

TEST_F(TrainWireTest, NanNeverBecomesBestAndInfinityDoes) {
  const double inf = std::numeric_limits<double>::infinity();
  Trainer trainer(Channel());
  ASSERT_TRUE(trainer.Hello(WithBest()));
  const auto nan = trainer.Epoch(1, 0, std::numeric_limits<double>::quiet_NaN());
  ASSERT_TRUE(nan);
  EXPECT_EQ(nan->policies(0).action(), v1::PolicyDecision::ACTION_SKIP);
  const auto infinite = trainer.Epoch(2, 1, -inf);
  ASSERT_TRUE(infinite);
  EXPECT_EQ(infinite->policies(0).action(), v1::PolicyDecision::ACTION_SAVE);
  EXPECT_EQ(infinite->policies(0).best(), -inf);
}

TEST_F(TrainWireTest, ANewerTrainerFencesTheOlder) {
  Trainer older(Channel());
  ASSERT_TRUE(older.Hello(WithBest()));
  const auto decision = older.Epoch(1, 0, 0.5);
  ASSERT_TRUE(decision);
  Trainer newer(Channel());
  const auto welcome = newer.Hello(WithBest());
  ASSERT_TRUE(welcome);
  EXPECT_EQ(welcome->writer_epoch(), 2u);
  EXPECT_EQ(welcome->durable_seq(), 1u);
  const grpc::Status fenced = older.Finish();
  EXPECT_EQ(fenced.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ReasonOf(fenced), "WRITER_FENCED");
  EXPECT_NE(fenced.error_message().find("(number 1)"), std::string::npos) << fenced.error_message();
  Trainer zombie(Channel());
  v1::Hello again = WithBest();
  again.set_writer_epoch(1);
  EXPECT_FALSE(zombie.Hello(again));
  EXPECT_EQ(ReasonOf(zombie.Finish()), "WRITER_FENCED");
  EXPECT_EQ(ReasonOf(UploadAll(decision->saves(0).name(), "late")), "SAVE_NOT_OPEN");
}

TEST_F(TrainWireTest, ALostDecisionIsGivenAgainAndNothingTwice) {
  uint64_t epoch = 0;
  {
    Trainer trainer(Channel());
    const auto welcome = trainer.Hello(WithBest());
    ASSERT_TRUE(welcome);
    epoch = welcome->writer_epoch();
    trainer.Send(Events({EpochEnd(1, 0, 0.5)}));
    ASSERT_TRUE(trainer.WaitDurable(1));  // the decision may or may not have been read
  }
  daemon_.Kill();
  ASSERT_TRUE(daemon_.Start());
  Trainer again(Channel());
  v1::Hello hello = WithBest();
  hello.set_writer_epoch(epoch);
  const auto welcome = again.Hello(hello);
  ASSERT_TRUE(welcome);
  EXPECT_EQ(welcome->durable_seq(), 1u);
  ASSERT_THAT(welcome->open_saves(), SizeIs(1));
  const auto decision = again.NextDecision();
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->seq(), 1u);
  ASSERT_THAT(decision->saves(), SizeIs(1));
  EXPECT_EQ(decision->saves(0).name(), "runs/r/checkpoints/1");
  ASSERT_TRUE(UploadAll("runs/r/checkpoints/1", "w").ok());
  const auto worse = again.Epoch(2, 1, 0.6);
  ASSERT_TRUE(worse);
  EXPECT_EQ(worse->policies(0).reason(), v1::PolicyDecision::REASON_NOT_IMPROVED);
  EXPECT_THAT(List(), SizeIs(1));
}

// A stream that broke took the outcomes with it. Save 1 was committed and then replaced by save 2,
// which is still there; 3 was given up; 4 is open.
TEST_F(TrainWireTest, HowAwaitedSavesEndedIsToldAfterTheWelcome) {
  v1::Hello hello = WithBest();
  hello.mutable_policies(0)->set_filepath("m");
  {
    Trainer trainer(Channel());
    const auto welcome = trainer.Hello(hello);
    ASSERT_TRUE(welcome);
    hello.set_writer_epoch(welcome->writer_epoch());
    for (uint64_t seq = 1; seq <= 4; ++seq) {
      const auto decision = trainer.Epoch(seq, seq - 1, 1.0 / seq);
      ASSERT_TRUE(decision);
      ASSERT_THAT(decision->saves(), SizeIs(1));
      if (seq <= 2) {
        ASSERT_TRUE(UploadAll(decision->saves(0).name(), "w").ok());
        ASSERT_TRUE(trainer.NextOutcome());
      } else if (seq == 3) {
        v1::TrainRequest abandon;
        abandon.mutable_abandon()->set_save(decision->saves(0).name());
        trainer.Send(abandon);
        ASSERT_TRUE(trainer.NextOutcome());
      }
    }
  }
  ASSERT_THAT(List(), SizeIs(1)) << "the second has replaced the first";
  hello.set_last_decided_seq(4);
  for (int id = 1; id <= 4; ++id) hello.add_awaited_saves(fmt::format("runs/r/checkpoints/{}", id));

  Trainer again(Channel());
  ASSERT_TRUE(again.Hello(hello));
  std::map<std::string, v1::SaveOutcome> told;
  for (int i = 0; i < 3; ++i) {
    const auto outcome = again.NextOutcome();
    ASSERT_TRUE(outcome);
    told[outcome->save()] = *outcome;
  }
  EXPECT_EQ(told["runs/r/checkpoints/1"].checkpoint().state(), v1::Checkpoint::STATE_COMMITTED);
  EXPECT_EQ(told["runs/r/checkpoints/2"].checkpoint().size(), 1);
  EXPECT_EQ(told["runs/r/checkpoints/3"].reason(), v1::ERROR_REASON_SAVE_NOT_OPEN);
  ASSERT_TRUE(UploadAll("runs/r/checkpoints/4", "w").ok());
  const auto last = again.NextOutcome();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->save(), "runs/r/checkpoints/4") << "told when it ends, and not before";
}

// The decision was lost with the stream, and its save, whose bytes were staged, has ended since.
TEST_F(TrainWireTest, HowTheSavesOfALostDecisionEndedIsTold) {
  v1::Hello hello = WithBest();
  {
    Trainer trainer(Channel());
    const auto welcome = trainer.Hello(hello);
    ASSERT_TRUE(welcome);
    hello.set_writer_epoch(welcome->writer_epoch());
    ASSERT_TRUE(trainer.Epoch(1, 0, 0.5));
    ASSERT_TRUE(UploadAll("runs/r/checkpoints/1", "w").ok());
  }
  Trainer again(Channel());
  ASSERT_TRUE(again.Hello(hello));
  const auto outcome = again.NextOutcome();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->checkpoint().name(), "runs/r/checkpoints/1");
}

TEST_F(TrainWireTest, AwaitedSavesAreOfTheRun) {
  for (const char* save : {"runs/other/checkpoints/1", "runs/r/checkpoints/best", "runs/r", ""}) {
    SCOPED_TRACE(save);
    Trainer trainer(Channel());
    v1::Hello hello = WithBest();
    hello.add_awaited_saves(save);
    EXPECT_FALSE(trainer.Hello(hello));
    EXPECT_EQ(trainer.Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
  Trainer trainer(Channel());
  v1::Hello hello = WithBest();
  for (int id = 1; id <= 1025; ++id) {
    hello.add_awaited_saves(fmt::format("runs/r/checkpoints/{}", id));
  }
  EXPECT_FALSE(trainer.Hello(hello));
  EXPECT_EQ(ReasonOf(trainer.Finish()), "LIMIT_EXCEEDED");
}

TEST_F(TrainWireTest, AnAbandonedSaveGivesItsRankBack) {
  Trainer trainer(Channel());
  ASSERT_TRUE(trainer.Hello(WithBest()));
  const auto decision = trainer.Epoch(1, 0, 0.5);
  ASSERT_TRUE(decision);
  v1::TrainRequest abandon;
  abandon.mutable_abandon()->set_save(decision->saves(0).name());
  abandon.mutable_abandon()->set_message("out of memory");
  trainer.Send(abandon);
  const auto outcome = trainer.NextOutcome();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->reason(), v1::ERROR_REASON_SAVE_ABANDONED);
  EXPECT_THAT(outcome->message(), HasSubstr("out of memory"));
  const auto next = trainer.Epoch(2, 1, 0.7);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->policies(0).action(), v1::PolicyDecision::ACTION_SAVE);
}

}  // namespace
}  // namespace ckpt::wire
