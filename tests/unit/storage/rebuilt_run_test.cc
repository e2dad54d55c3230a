#include "storage/rebuilt_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "storage/base/names.h"

namespace ckpt::storage {
namespace {

using testing::IsEmpty;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A checkpoint that the policy "best" chose at the event of the same number.
v1::Checkpoint Saved(uint64_t id, double loss) {
  v1::Checkpoint checkpoint;
  checkpoint.set_name(CheckpointName("r", std::to_string(id)));
  checkpoint.set_seq(id);
  checkpoint.set_epoch(static_cast<int64_t>(id));
  checkpoint.set_writer_epoch(3);
  checkpoint.mutable_create_time()->set_seconds(static_cast<int64_t>(100 * id));
  checkpoint.add_placements()->set_policy("best");
  (*checkpoint.mutable_metrics())["loss"] = loss;
  return checkpoint;
}

v1::PolicyState State(double best, const std::string& best_id) {
  v1::PolicyState state;
  state.set_policy("best");
  state.set_monitor("loss");
  state.set_best(best);
  state.set_best_checkpoint_id(best_id);
  return state;
}

v1::RunProgress Progress(uint64_t last_id, const v1::PolicyState& state) {
  v1::RunProgress progress;
  progress.set_last_checkpoint_id(last_id);
  progress.set_writer_epoch(5);
  progress.add_durable_seqs(last_id);
  *progress.add_policy_states() = state;
  return progress;
}

v1::Run RunWithThreshold(double threshold) {
  v1::Run run;
  v1::CheckpointPolicy& policy = *run.add_policies();
  policy.set_name("best");
  policy.set_initial_value_threshold(threshold);
  return run;
}

using Checkpoints = std::map<uint64_t, v1::Checkpoint>;

TEST(RebuiltRun, IdsAndWritersAreNeverGivenTwice) {
  const auto newest = [](const std::optional<v1::RunProgress>& salvaged,
                         const Checkpoints& checkpoints, const EventSummary& events) {
    return RebuildProgress({}, salvaged, checkpoints, events).last_checkpoint_id() - kRebuildGap;
  };
  EXPECT_EQ(newest(Progress(9, State(1, "")), {{4, Saved(4, 1)}}, {}), 9U);
  EXPECT_EQ(newest(std::nullopt, {{4, Saved(4, 1)}}, {}), 4U);
  EventSummary events;
  events.newest_save = 12;  // decided, and nothing else is known of it
  EXPECT_EQ(newest(std::nullopt, {{4, Saved(4, 1)}}, events), 12U);
  v1::Checkpoint with_open_save = Saved(4, 1);
  with_open_save.add_policy_states()->add_open_saves()->set_checkpoint_id("7");
  EXPECT_EQ(newest(std::nullopt, {{4, with_open_save}}, {}), 7U);

  EXPECT_EQ(RebuildProgress({}, Progress(9, State(1, "")), {}, {}).writer_epoch(), 5 + kRebuildGap);
  EXPECT_EQ(RebuildProgress({}, std::nullopt, {{4, Saved(4, 1)}}, {}).writer_epoch(),
            3 + kRebuildGap);
}

TEST(RebuiltRun, TheBestIsOneThatExists) {
  struct Case {
    const char* what;
    v1::PolicyState state;  // of the newest checkpoint
    Checkpoints checkpoints;
    double best;
    const char* id;
  };
  for (const Case& c : {
           Case{"exists", State(0.2, "2"), {{2, Saved(2, 0.2)}, {3, Saved(3, 0.5)}}, 0.2, "2"},
           Case{"gone", State(0.1, "1"), {{2, Saved(2, 0.2)}, {3, Saved(3, 0.5)}}, 0.2, "2"},
           Case{
               "gone, equals", State(0.1, "1"), {{2, Saved(2, 0.2)}, {3, Saved(3, 0.2)}}, 0.2, "2"},
           Case{"gone, no number", State(0.1, "1"), {{3, Saved(3, kNan)}}, 0.9, ""},
           Case{"none yet", State(0.9, ""), {{3, Saved(3, 0.95)}}, 0.9, ""},
       }) {
    SCOPED_TRACE(c.what);
    Checkpoints checkpoints = c.checkpoints;
    *checkpoints.rbegin()->second.add_policy_states() = c.state;
    const v1::RunProgress progress =
        RebuildProgress(RunWithThreshold(0.9), std::nullopt, checkpoints, {});
    ASSERT_EQ(progress.policy_states_size(), 1);
    EXPECT_EQ(progress.policy_states(0).best(), c.best);
    EXPECT_EQ(progress.policy_states(0).best_checkpoint_id(), c.id);
  }
}

TEST(RebuiltRun, WithoutAThresholdABestThatIsGoneIsForgotten) {
  v1::PolicyState state = State(0.7, "1");
  for (const bool maximize : {false, true}) {
    state.set_maximize(maximize);
    v1::Checkpoint other = Saved(3, 0.5);
    other.clear_placements();  // not the policy's
    *other.add_policy_states() = state;
    const v1::RunProgress progress = RebuildProgress({}, std::nullopt, {{3, other}}, {});
    EXPECT_EQ(progress.policy_states(0).best(), maximize ? -kInfinity : kInfinity);
    EXPECT_EQ(progress.policy_states(0).best_checkpoint_id(), "");
  }
}

TEST(RebuiltRun, ACurrentRowKnowsOfABestThatWasOverwritten) {
  const v1::RunProgress progress =
      RebuildProgress({}, Progress(3, State(0.1, "1")), {{3, Saved(3, 0.5)}}, {});
  EXPECT_EQ(progress.policy_states(0).best(), 0.1);
  EXPECT_EQ(progress.policy_states(0).best_checkpoint_id(), "1");
}

TEST(RebuiltRun, SavesOnTheirWayWereCommittedOrHaveFailed) {
  v1::PolicyState state = State(0.5, "1");
  state.add_open_saves()->set_checkpoint_id("2");
  state.mutable_open_saves(0)->set_value(0.3);
  state.add_open_saves()->set_checkpoint_id("3");
  state.mutable_open_saves(1)->set_value(0.2);
  const v1::RunProgress progress =
      RebuildProgress({}, Progress(3, state), {{1, Saved(1, 0.5)}, {2, Saved(2, 0.3)}}, {});
  EXPECT_THAT(progress.policy_states(0).open_saves(), IsEmpty());
  EXPECT_EQ(progress.policy_states(0).best(), 0.3);
  EXPECT_EQ(progress.policy_states(0).best_checkpoint_id(), "2");
}

TEST(RebuiltRun, ThePositionMovesOnAndNeverBack) {
  EventSummary events;
  EventRow row;
  row.record.mutable_event()->set_seq(8);
  row.record.mutable_event()->set_kind(v1::Event::KIND_EPOCH_END);
  row.record.mutable_event()->set_epoch(6);
  row.record.mutable_decision()->add_saves()->set_name(CheckpointName("r", "5"));
  events.Add(row);
  row.record.mutable_event()->set_seq(7);  // older
  row.record.clear_decision();
  events.Add(row);
  EXPECT_EQ(events.newest.at(0).event().seq(), 8U);
  EXPECT_EQ(events.newest_save, 5U);

  v1::RunProgress progress =
      RebuildProgress({}, Progress(2, State(1, "")), {{4, Saved(4, 1)}}, events);
  EXPECT_EQ(progress.durable_seqs(0), 8U);
  EXPECT_EQ(progress.epoch(), 6);
  EXPECT_FALSE(progress.ended());

  v1::RunProgress later = Progress(20, State(1, ""));
  later.set_epoch(19);
  later.set_ended(true);
  progress = RebuildProgress({}, later, {{4, Saved(4, 1)}}, events);
  EXPECT_EQ(progress.durable_seqs(0), 20U);
  EXPECT_EQ(progress.epoch(), 19);
  EXPECT_TRUE(progress.ended());
}

TEST(RebuiltRun, TheRowIsTheSalvagedOneOrTheNewestManifests) {
  v1::Run salvaged;
  salvaged.set_name("runs/r");
  (*salvaged.mutable_labels())["from"] = "index";
  std::map<uint64_t, v1::Manifest> manifests;
  for (const uint64_t id : {1, 2}) {
    *manifests[id].mutable_checkpoint() = Saved(id, 1);
    manifests[id].mutable_run()->set_name("runs/r");
    (*manifests[id].mutable_run()->mutable_labels())["from"] = std::to_string(id);
  }
  EXPECT_EQ(RebuildRunRow("r", salvaged, manifests).labels().at("from"), "index");
  const v1::Run rebuilt = RebuildRunRow("r", std::nullopt, manifests);
  EXPECT_EQ(rebuilt.labels().at("from"), "2");
  EXPECT_EQ(rebuilt.create_time().seconds(), 100);  // of the oldest checkpoint

  manifests[2].clear_run();  // as older versions wrote them
  manifests[1].clear_run();
  EXPECT_EQ(RebuildRunRow("r", std::nullopt, manifests).name(), "runs/r");
}

}  // namespace
}  // namespace ckpt::storage
