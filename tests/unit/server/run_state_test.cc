#include "server/run/run_state.h"

#include <gmock/gmock.h>

#include <limits>

#include "run_fixture.h"

namespace ckpt::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class RunStateTest : public RunFixture {};

TEST_F(RunStateTest, FirstHelloMakesTheRun) {
  RunState state = NewRun();
  EXPECT_FALSE(state.exists());
  v1::Hello hello;
  (*hello.mutable_labels())["team"] = "vision";
  const auto attached = Attach(state, {BestPolicy()}, hello);
  ASSERT_TRUE(attached.ok()) << attached.status();
  EXPECT_TRUE(attached->new_writer);
  ASSERT_TRUE(attached->update.run_row.has_value());
  EXPECT_EQ(attached->update.run_row->labels().at("team"), "vision");
  EXPECT_TRUE(attached->update.run_row->has_create_time());
  const v1::Welcome welcome = state.MakeWelcome();
  EXPECT_EQ(welcome.writer_epoch(), 1u);
  EXPECT_EQ(welcome.durable_seq(), 0u);
  ASSERT_EQ(welcome.run().policy_states_size(), 1);
  EXPECT_EQ(welcome.run().policy_states(0).best(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(welcome.run().state(), v1::Run::STATE_RUNNING);
}

TEST_F(RunStateTest, CreateRefusesARunThatExists) {
  RunState state = NewRun();
  ASSERT_TRUE(Attach(state).ok());
  v1::Hello hello;
  hello.set_start(v1::Hello::START_CREATE);
  EXPECT_EQ(ReasonOf(Attach(state, {BestPolicy()}, hello).status()), v1::ERROR_REASON_RUN_EXISTS);
  hello.set_writer_epoch(1);  // the one that created it comes back after a broken stream
  EXPECT_TRUE(Attach(state, {BestPolicy()}, hello).ok());
}

TEST_F(RunStateTest, ANewTrainerFencesTheOldOne) {
  RunState state = NewRun();
  ASSERT_TRUE(Attach(state).ok());
  ASSERT_TRUE(Attach(state).ok());
  EXPECT_EQ(state.writer_epoch(), 2u);
  v1::Hello old;
  old.set_writer_epoch(1);
  EXPECT_EQ(ReasonOf(Attach(state, {BestPolicy()}, old).status()), v1::ERROR_REASON_WRITER_FENCED);
  v1::Hello foreign;
  foreign.set_writer_epoch(9);
  EXPECT_EQ(ReasonOf(Attach(state, {BestPolicy()}, foreign).status()),
            v1::ERROR_REASON_FIELD_INVALID);
}

TEST_F(RunStateTest, ANewTrainerGivesUpTheSavesOfTheOldOne) {
  RunState state = NewRun();
  ASSERT_TRUE(Attach(state).ok());
  ASSERT_THAT(Take(state, Batch({EpochEnd(1, 0, 0.5)})).update.opened_saves, SizeIs(1));
  const auto attached = Attach(state);
  ASSERT_TRUE(attached.ok());
  EXPECT_THAT(attached->failed_saves, ElementsAre("1"));
  EXPECT_THAT(attached->update.closed_saves, ElementsAre("1"));
  EXPECT_EQ(state.OpenSave("1"), nullptr);
  // Its rank is given back: a worse value than the lost one is the best now.
  const auto taken = Take(state, Batch({EpochEnd(2, 0, 0.7)}));
  ASSERT_THAT(taken.answers, SizeIs(1));
  EXPECT_EQ(taken.answers[0].policies(0).action(), v1::PolicyDecision::ACTION_SAVE);
}

TEST_F(RunStateTest, HowASaveEndedIsKnownAfterARestart) {
  RunState state = NewRun();
  std::vector<storage::RunUpdate> updates;
  updates.push_back(Attach(state)->update);
  for (uint64_t seq = 1; seq <= 3; ++seq) {
    updates.push_back(
        Take(state, Batch({EpochEnd(seq, 0, 1.0 / static_cast<double>(seq))})).update);
  }
  v1::Checkpoint published = *state.OpenSave("1");
  updates.push_back(state.Commit(published));
  updates.push_back(state.Fail("2"));
  for (const RunState& each : {state, RunState(Reload(updates))}) {
    EXPECT_TRUE(each.WasCommitted("1"));
    EXPECT_FALSE(each.WasCommitted("2")) << "it failed";
    EXPECT_FALSE(each.WasCommitted("3")) << "it is open";
    EXPECT_FALSE(each.WasCommitted("4")) << "it was never decided";
    EXPECT_FALSE(each.WasCommitted("x"));
  }
}

TEST_F(RunStateTest, OfOldFailuresNothingIsClaimed) {
  RunState state = NewRun();
  ASSERT_TRUE(Attach(state).ok());
  const auto save = [&](uint64_t seq) {
    return Take(state, Batch({EpochEnd(seq, 0, 1.0 / static_cast<double>(seq))}));
  };
  ASSERT_THAT(save(1).update.opened_saves, SizeIs(1));
  state.Commit(v1::Checkpoint(*state.OpenSave("1")));
  for (uint64_t seq = 2; seq <= 258; ++seq) {
    ASSERT_THAT(save(seq).update.opened_saves, SizeIs(1));
    state.Fail(std::to_string(seq));
  }
  // Of 257 failures the newest 256 are kept: what came before may have ended in any way.
  for (const char* id : {"1", "2", "3", "258"}) EXPECT_FALSE(state.WasCommitted(id)) << id;
  ASSERT_THAT(save(259).update.opened_saves, SizeIs(1));
  state.Commit(v1::Checkpoint(*state.OpenSave("259")));
  EXPECT_TRUE(state.WasCommitted("259"));
}

TEST_F(RunStateTest, OfSavesBeforeThisWasRecordedNothingIsClaimed) {
  storage::RunSnapshot old;
  old.run.set_name("runs/r");
  old.progress.set_last_checkpoint_id(7);
  EXPECT_FALSE(RunState(std::move(old)).WasCommitted("7"));
}

TEST_F(RunStateTest, ASaveBeingPublishedOutlivesItsTrainer) {
  RunState state = NewRun();
  ASSERT_TRUE(Attach(state).ok());
  Take(state, Batch({EpochEnd(1, 0, 0.5)}));
  state.SetPublishing("1", true);
  const auto attached = Attach(state);
  ASSERT_TRUE(attached.ok());
  EXPECT_THAT(attached->failed_saves, IsEmpty());
  EXPECT_THAT(state.MakeWelcome().open_saves(), IsEmpty());
}

TEST_F(RunStateTest, TheSameTrainerStillOwesItsSaves) {
  RunState state = NewRun();
  ASSERT_TRUE(Attach(state).ok());
  Take(state, Batch({EpochEnd(1, 0, 0.5)}));
  v1::Hello again;
  again.set_writer_epoch(1);
  again.set_last_decided_seq(1);
  const auto attached = Attach(state, {BestPolicy()}, again);
  ASSERT_TRUE(attached.ok());
  EXPECT_FALSE(attached->new_writer);
  ASSERT_THAT(state.MakeWelcome().open_saves(), SizeIs(1));
  EXPECT_EQ(state.MakeWelcome().open_saves(0).name(), "runs/r/checkpoints/1");
}

TEST_F(RunStateTest, BestSurvivesANewTrainerButNotAFreshStart) {
  RunState state = NewRun();
  ASSERT_TRUE(Attach(state).ok());
  auto taken = Take(state, Batch({EpochEnd(1, 0, 0.5)}));
  state.Commit(taken.update.opened_saves.at(0));
  ASSERT_TRUE(Attach(state).ok());
  EXPECT_EQ(state.Describe().policy_states(0).best(), 0.5);
  EXPECT_EQ(state.Describe().policy_states(0).best_checkpoint_id(), "1");
  v1::Hello fresh;
  fresh.set_start(v1::Hello::START_FRESH);
  ASSERT_TRUE(Attach(state, {BestPolicy()}, fresh).ok());
  EXPECT_EQ(state.Describe().policy_states(0).best(), std::numeric_limits<double>::infinity());
}

TEST_F(RunStateTest, RefusedPoliciesLeaveTheRunAsItWas) {
  RunState state = NewRun();
  ASSERT_TRUE(Attach(state).ok());
  EXPECT_EQ(ReasonOf(Attach(state, {BestPolicy("a"), BestPolicy("a")}).status()),
            v1::ERROR_REASON_POLICY_DUPLICATE);
  EXPECT_EQ(state.writer_epoch(), 1u);
  EXPECT_EQ(state.run().policies(0).name(), "best");
}

TEST_F(RunStateTest, WithoutPoliciesTheRunKeepsItsOwn) {
  RunState state = NewRun();
  ASSERT_TRUE(Attach(state).ok());
  ASSERT_TRUE(Attach(state, {}).ok());
  ASSERT_EQ(state.run().policies_size(), 1);
  EXPECT_EQ(state.run().policies(0).name(), "best");
}

TEST_F(RunStateTest, APolicyThatComesBackFindsItsBest) {
  RunState state = NewRun();
  ASSERT_TRUE(Attach(state).ok());
  state.Commit(Take(state, Batch({EpochEnd(1, 0, 0.5)})).update.opened_saves.at(0));
  ASSERT_TRUE(Attach(state, {BestPolicy("other")}).ok());
  EXPECT_EQ(state.Describe().policy_states(0).policy(), "other");
  ASSERT_TRUE(Attach(state, {BestPolicy("best")}).ok());
  EXPECT_EQ(state.Describe().policy_states(0).best(), 0.5);
}

TEST_F(RunStateTest, AReloadedRunGoesOnWhereItWas) {
  RunState state = NewRun();
  std::vector<storage::RunUpdate> updates;
  updates.push_back(Attach(state)->update);
  auto taken = Take(state, Batch({EpochEnd(1, 0, 0.5), EpochEnd(2, 1, 0.4)}));
  updates.push_back(taken.update);
  updates.push_back(state.Commit(taken.update.opened_saves.at(0)));
  updates.push_back(state.Fail("2"));

  RunState reloaded(Reload(updates));
  EXPECT_TRUE(reloaded.exists());
  EXPECT_EQ(reloaded.last_seq(), 2u);
  EXPECT_EQ(reloaded.writer_epoch(), 1u);
  EXPECT_THAT(reloaded.OpenSaveIds(), IsEmpty());
  EXPECT_EQ(reloaded.Describe().policy_states(0).best(), 0.5);
  // Ids are never used twice, and the dictionary is known.
  v1::Hello again;
  again.set_writer_epoch(1);
  ASSERT_TRUE(Attach(reloaded, {BestPolicy()}, again).ok());
  const auto next = Take(reloaded, Batch({EpochEnd(3, 2, 0.3)}));
  EXPECT_THAT(next.update.new_metrics, IsEmpty());
  ASSERT_THAT(next.update.opened_saves, SizeIs(1));
  EXPECT_EQ(next.update.opened_saves[0].name(), "runs/r/checkpoints/3");
}

TEST_F(RunStateTest, DeletingTheBestPromotesTheNext) {
  RunState state = NewRun();
  ASSERT_TRUE(Attach(state).ok());
  auto taken = Take(state, Batch({EpochEnd(1, 0, 0.5), EpochEnd(2, 1, 0.4)}));
  state.Commit(taken.update.opened_saves.at(0));
  state.Commit(taken.update.opened_saves.at(1));
  ASSERT_THAT(state.PoliciesWithBest("2"), SizeIs(1));
  EXPECT_THAT(state.PoliciesWithBest("1"), IsEmpty());

  const auto update = state.Delete("2", {{"best", taken.update.opened_saves[0]}});
  EXPECT_THAT(update.deleted, ElementsAre("2"));
  EXPECT_EQ(state.Describe().policy_states(0).best(), 0.5);
  EXPECT_EQ(state.Describe().policy_states(0).best_checkpoint_id(), "1");

  state.Delete("1", {});
  EXPECT_EQ(state.Describe().policy_states(0).best(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(state.Describe().policy_states(0).best_checkpoint_id(), "");
}

}  // namespace
}  // namespace ckpt::server
