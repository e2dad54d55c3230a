#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <limits>

#include "run_fixture.h"
#include "server/run/limits.h"
#include "storage/history/column_block.h"

namespace ckpt::server {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;
using testing::SizeIs;

static_assert(kMaxMetricsPerRun <= storage::kMaxColumnValues, "or a block could not be read");

class RunEventsTest : public RunFixture {
 protected:
  RunEventsTest() : state_(NewRun()) { EXPECT_TRUE(Attach(state_).ok()); }
  RunState state_;
};

TEST_F(RunEventsTest, ASaveIsOpenedRecordedAndAnswered) {
  const auto taken = Take(state_, Batch({EpochEnd(1, 0, 0.5)}));
  ASSERT_TRUE(taken.status.ok()) << taken.status;
  ASSERT_THAT(taken.update.events, SizeIs(1));
  ASSERT_THAT(taken.update.events.whole(), SizeIs(1));
  EXPECT_EQ(taken.update.events.whole()[0].record.decision().saves_size(), 1);
  ASSERT_THAT(taken.update.opened_saves, SizeIs(1));
  const v1::Checkpoint& save = taken.update.opened_saves[0];
  EXPECT_EQ(save.name(), "runs/r/checkpoints/1");
  EXPECT_EQ(save.state(), v1::Checkpoint::STATE_SAVING);
  EXPECT_EQ(save.writer_epoch(), 1u);
  EXPECT_EQ(save.metrics().at("loss"), 0.5);
  ASSERT_TRUE(taken.update.progress.has_value());
  EXPECT_EQ(taken.update.progress->last_checkpoint_id(), 1u);
  EXPECT_THAT(taken.update.progress->durable_seqs(), ElementsAre(1u));
  ASSERT_THAT(taken.answers, SizeIs(1));
  EXPECT_EQ(taken.answers[0].seq(), 1u);
}

TEST_F(RunEventsTest, KnownEventsArePassedOver) {
  Take(state_, Batch({EpochEnd(1, 0, 0.5)}));
  const auto again = Take(state_, Batch({EpochEnd(1, 0, 0.1), EpochEnd(2, 1, 0.6)}));
  ASSERT_TRUE(again.status.ok());
  ASSERT_THAT(again.update.events, SizeIs(1));
  EXPECT_EQ(again.update.events.parts()[0].events[0].seq, 2u);
  EXPECT_THAT(again.update.opened_saves, IsEmpty());
}

TEST_F(RunEventsTest, AGapIsRefusedAndWhatCameBeforeStays) {
  const auto taken = Take(state_, Batch({EpochEnd(1, 0, 0.5), EpochEnd(3, 1, 0.1)}));
  EXPECT_EQ(ReasonOf(taken.status), v1::ERROR_REASON_SEQUENCE_GAP);
  EXPECT_EQ(MetadataOf(taken.status).at("expected_seq"), "2");
  EXPECT_THAT(taken.update.events, SizeIs(1));
  EXPECT_EQ(state_.last_seq(), 1u);
}

TEST_F(RunEventsTest, WrongEventsAreRefused) {
  struct Case {
    const char* what;
    std::function<void(v1::Event&)> spoil;
    v1::ErrorReason reason;
  };
  const Case cases[] = {
      {"seq 0", [](v1::Event& e) { e.set_seq(0); }, v1::ERROR_REASON_SEQUENCE_GAP},
      {"no kind", [](v1::Event& e) { e.clear_kind(); }, v1::ERROR_REASON_EVENT_INVALID},
      {"unknown kind", [](v1::Event& e) { e.set_kind(static_cast<v1::Event::Kind>(99)); },
       v1::ERROR_REASON_EVENT_INVALID},
      {"negative epoch", [](v1::Event& e) { e.set_epoch(-1); }, v1::ERROR_REASON_EVENT_INVALID},
      {"huge batch", [](v1::Event& e) { e.set_batch(kMaxIndex + 1); },
       v1::ERROR_REASON_EVENT_INVALID},
      {"value missing", [](v1::Event& e) { e.clear_values(); }, v1::ERROR_REASON_EVENT_INVALID},
      {"integer missing", [](v1::Event& e) { e.add_integer_metric_ids(7); },
       v1::ERROR_REASON_EVENT_INVALID},
      {"unnamed metric", [](v1::Event& e) { e.set_metric_ids(0, 8); },
       v1::ERROR_REASON_EVENT_INVALID},
      {"metric twice",
       [](v1::Event& e) {
         e.add_metric_ids(7);
         e.add_values(1);
       },
       v1::ERROR_REASON_EVENT_INVALID},
      {"metrics at an epoch's begin", [](v1::Event& e) { e.set_kind(v1::Event::KIND_EPOCH_BEGIN); },
       v1::ERROR_REASON_EVENT_INVALID},
      {"10,000 metrics",
       [](v1::Event& e) {
         for (int i = 0; i < 10'000; ++i) {
           e.add_metric_ids(7);
           e.add_values(0);
         }
       },
       v1::ERROR_REASON_LIMIT_EXCEEDED},
      {"stage id", [](v1::Event& e) { e.set_staged_upload("../x"); },
       v1::ERROR_REASON_NAME_INVALID},
  };
  for (const Case& test : cases) {
    v1::Event event = EpochEnd(1, 0, 0.5);
    test.spoil(event);
    const auto taken = Take(state_, Batch({event}));
    EXPECT_EQ(ReasonOf(taken.status), test.reason) << test.what << ": " << taken.status;
    EXPECT_THAT(taken.update.events, IsEmpty()) << test.what;
    EXPECT_EQ(state_.last_seq(), 0u) << test.what;
  }
  EXPECT_TRUE(Take(state_, Batch({EpochEnd(1, 0, 0.5)})).status.ok());
}

TEST_F(RunEventsTest, WrongMetricNamesAreRefused) {
  const std::pair<std::string, v1::ErrorReason> cases[] = {
      {"", v1::ERROR_REASON_FIELD_INVALID},
      {std::string(10'240, 'x'), v1::ERROR_REASON_LIMIT_EXCEEDED},
      {"a\nb", v1::ERROR_REASON_FIELD_INVALID},
  };
  for (const auto& [name, reason] : cases) {
    v1::EventBatch batch = Batch({EpochEnd(1, 0, 0.5)});
    batch.mutable_metrics(0)->set_name(name);
    EXPECT_EQ(ReasonOf(Take(state_, batch).status), reason) << name.size();
  }
  v1::EventBatch renamed = Batch({EpochEnd(1, 0, 0.5)});
  *renamed.add_metrics() = renamed.metrics(0);
  renamed.mutable_metrics(1)->set_name("acc");
  EXPECT_EQ(ReasonOf(Take(state_, renamed).status), v1::ERROR_REASON_FIELD_INVALID);
}

TEST_F(RunEventsTest, TooManyEventsInABatch) {
  v1::EventBatch batch = Batch({});
  for (int i = 0; i <= kMaxEventsPerBatch; ++i) *batch.add_events() = EpochEnd(i + 1, i, 1);
  const auto taken = Take(state_, batch);
  EXPECT_EQ(ReasonOf(taken.status), v1::ERROR_REASON_LIMIT_EXCEEDED);
  EXPECT_THAT(taken.update.events, IsEmpty());
}

TEST_F(RunEventsTest, MetricIdsAreTheRunsOwn) {
  Take(state_, Batch({EpochEnd(1, 0, 0.5)}));
  v1::Hello again;
  again.set_writer_epoch(1);
  ASSERT_TRUE(Attach(state_, {BestPolicy()}, again).ok());
  // Another stream may use another number for the same name, and must say so first.
  EXPECT_EQ(ReasonOf(Take(state_, Batch({EpochEnd(2, 1, 0.4)}, false)).status),
            v1::ERROR_REASON_EVENT_INVALID);
  v1::EventBatch batch = Batch({EpochEnd(2, 1, 0.4, /*metric_id=*/3)});
  batch.mutable_metrics(0)->set_id(3);
  const auto taken = Take(state_, batch);
  ASSERT_TRUE(taken.status.ok()) << taken.status;
  ASSERT_THAT(taken.update.events, SizeIs(1));
  EXPECT_THAT(taken.update.events.parts()[0].events[0].metrics, ElementsAre(0u));
}

TEST_F(RunEventsTest, MetricIdsAreMappedWhateverTheEventBeforeHad) {
  v1::EventBatch names = Batch({}, false);
  for (const auto& [id, name] : {std::pair(9, "a"), std::pair(3, "b"), std::pair(5, "c")}) {
    v1::MetricName& metric = *names.add_metrics();
    metric.set_id(static_cast<uint32_t>(id));
    metric.set_name(name);
  }
  ASSERT_TRUE(Take(state_, names).status.ok());
  // Ids of values and of whole numbers, and what they become; nothing: refused.
  struct Case {
    std::vector<uint32_t> ids, integer_ids, mapped, mapped_integers;
    bool refused = false;
  };
  uint64_t seq = 0;
  for (const Case& c : std::vector<Case>{{{9, 3}, {}, {0, 1}, {}},
                                         {{9, 3}, {}, {0, 1}, {}},
                                         {{3, 9}, {}, {1, 0}, {}},
                                         {{3}, {9}, {1}, {0}},
                                         {{3}, {9}, {1}, {0}},
                                         {{3}, {3}, {}, {}, true},
                                         {{}, {}, {}, {}},
                                         {{}, {3, 9}, {}, {1, 0}},
                                         {{4}, {}, {}, {}, true},
                                         {{9, 9}, {}, {}, {}, true},
                                         {{}, {3, 9}, {}, {1, 0}},
                                         {{9, 3, 5}, {}, {0, 1, 2}, {}}}) {
    SCOPED_TRACE(seq);
    v1::Event event;
    event.set_seq(seq + 1);
    event.set_kind(v1::Event::KIND_BATCH_END);
    for (const uint32_t id : c.ids) event.add_metric_ids(id);
    for (const uint32_t id : c.integer_ids) event.add_integer_metric_ids(id);
    event.mutable_values()->Resize(event.metric_ids_size(), 0.5);
    event.mutable_integers()->Resize(event.integer_metric_ids_size(), 5);
    const auto taken = Take(state_, Batch({event}, false));
    if (c.refused) {
      EXPECT_EQ(ReasonOf(taken.status), v1::ERROR_REASON_EVENT_INVALID);
      continue;
    }
    ASSERT_TRUE(taken.status.ok()) << taken.status;
    const storage::EventNumbers numbers = taken.update.events.parts()[0].events[0];
    EXPECT_THAT(numbers.metrics, ElementsAreArray(c.mapped));
    EXPECT_THAT(numbers.integer_metrics, ElementsAreArray(c.mapped_integers));
    ++seq;
  }
}

TEST_F(RunEventsTest, NanAndInfinitiesAreTaken) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  const auto taken =
      Take(state_, Batch({EpochEnd(1, 0, nan), EpochEnd(2, 1, inf), EpochEnd(3, 2, -inf)}));
  ASSERT_TRUE(taken.status.ok());
  ASSERT_THAT(taken.update.opened_saves, SizeIs(1));  // only -inf is better than +inf
  EXPECT_EQ(taken.update.opened_saves[0].seq(), 3u);
}

TEST_F(RunEventsTest, QuietEventsAreAnsweredOnlyIfAsked) {
  v1::Event quiet;
  quiet.set_seq(1);
  quiet.set_kind(v1::Event::KIND_BATCH_END);
  EXPECT_THAT(Take(state_, Batch({quiet})).answers, IsEmpty());
  quiet.set_seq(2);
  quiet.set_batch(1);
  quiet.set_wants_decision(true);
  const auto taken = Take(state_, Batch({quiet}));
  ASSERT_THAT(taken.answers, SizeIs(1));
  EXPECT_THAT(taken.answers[0].policies(), IsEmpty());
  EXPECT_EQ(taken.answers[0].quiet_batches(), std::numeric_limits<int64_t>::max());
}

TEST_F(RunEventsTest, AStageGoesToTheSaveOrAway) {
  v1::Event wins = EpochEnd(1, 0, 0.5);
  wins.set_staged_upload("s1");
  v1::Event loses = EpochEnd(2, 1, 0.6);
  loses.set_staged_upload("s2");
  const auto taken = Take(state_, Batch({wins, loses}));
  ASSERT_THAT(taken.stages, SizeIs(2));
  EXPECT_EQ(taken.stages[0].save, "1");
  EXPECT_EQ(taken.stages[1].stage_id, "s2");
  EXPECT_EQ(taken.stages[1].save, "");
}

TEST_F(RunEventsTest, WhatWasAnsweredBeforeStaysSkipped) {
  v1::Hello again;
  again.set_writer_epoch(1);
  again.set_last_decided_seq(1);
  ASSERT_TRUE(Attach(state_, {BestPolicy()}, again).ok());
  const auto taken = Take(state_, Batch({EpochEnd(1, 0, 0.5), EpochEnd(2, 1, 0.6)}));
  ASSERT_TRUE(taken.status.ok());
  ASSERT_THAT(taken.answers, SizeIs(2));
  EXPECT_EQ(taken.answers[0].policies(0).reason(), v1::PolicyDecision::REASON_ANSWERED_BEFORE);
  EXPECT_EQ(taken.answers[1].policies(0).action(), v1::PolicyDecision::ACTION_SAVE);
}

TEST_F(RunEventsTest, ABlockedNameIsAnErrorOfTheDecision) {
  RunState::Intake intake{std::make_shared<v1::EventBatch>(Batch({EpochEnd(1, 0, 0.5)}))};
  const auto taken = state_.Take(
      intake,
      [](std::string_view path) { return PathBlocked(path, "a symbolic link is in the way"); }, 0);
  ASSERT_THAT(taken.answers, SizeIs(1));
  EXPECT_EQ(taken.answers[0].policies(0).action(), v1::PolicyDecision::ACTION_ERROR);
  EXPECT_EQ(taken.answers[0].policies(0).error().reason(), v1::ERROR_REASON_PATH_BLOCKED);
  EXPECT_THAT(taken.update.opened_saves, IsEmpty());
}

TEST_F(RunEventsTest, WithoutALookAtNamesItStopsBeforeASave) {
  const auto allow = [](std::string_view) { return absl::OkStatus(); };
  Take(state_, Batch({EpochEnd(1, 0, 0.5)}));
  RunState::Intake intake{std::make_shared<v1::EventBatch>(
      Batch({EpochEnd(2, 1, 0.6, 9), EpochEnd(3, 2, 0.4, 9), EpochEnd(4, 3, 0.7, 9)}, false))};
  intake.batch->add_metrics()->set_id(9);
  intake.batch->mutable_metrics(0)->set_name("loss");
  const auto skipped = state_.Take(intake, std::nullopt, 0);
  EXPECT_TRUE(skipped.status.ok()) << skipped.status;
  EXPECT_TRUE(skipped.name_check_wanted);
  EXPECT_THAT(skipped.update.events, SizeIs(1));
  EXPECT_EQ(state_.last_seq(), 2u);

  const auto rest = state_.Take(intake, allow, 0);
  EXPECT_TRUE(rest.status.ok()) << rest.status;
  EXPECT_FALSE(rest.name_check_wanted);
  EXPECT_THAT(rest.update.events, SizeIs(2));
  ASSERT_THAT(rest.update.opened_saves, SizeIs(1));
  EXPECT_EQ(rest.update.opened_saves[0].name(), "runs/r/checkpoints/2");
  EXPECT_EQ(rest.update.opened_saves[0].metrics().at("loss"), 0.4);
  EXPECT_THAT(rest.update.new_metrics, IsEmpty());
}

TEST_F(RunEventsTest, WhatFollowsAnEventThatWasTakenMeanwhileIsChecked) {
  RunState::Intake intake{
      std::make_shared<v1::EventBatch>(Batch({EpochEnd(1, 0, 0.5), EpochEnd(2, 1, 0.4, 60000)}))};
  EXPECT_TRUE(state_.Take(intake, std::nullopt, 0).name_check_wanted);
  Take(state_, Batch({EpochEnd(1, 0, 0.5)}));
  const auto taken = state_.Take(
      intake, [](std::string_view) { return absl::OkStatus(); }, 0);
  EXPECT_EQ(ReasonOf(taken.status), v1::ERROR_REASON_EVENT_INVALID) << taken.status;
  EXPECT_EQ(state_.last_seq(), 1u);
}

}  // namespace
}  // namespace ckpt::server
