// Random histories of a run, driven as the daemon drives them, and their index made again: it says
// what the lost one said, and the next decisions are the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "run_fixture.h"
#include "storage/base/digest.h"
#include "storage/checkpoint_store.h"
#include "storage/rebuild.h"
#include "storage/rebuilt_run.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::server {
namespace {

namespace fs = std::filesystem;
using storage::CheckpointStore;
using testing::ElementsAreArray;

v1::CheckpointPolicy Policy(const std::string& name, const std::string& filepath, bool best_only) {
  v1::CheckpointPolicy policy = BestPolicy(name);
  policy.set_filepath(filepath);
  policy.set_save_best_only(best_only);
  return policy;
}

std::vector<v1::CheckpointPolicy> Policies() {
  v1::CheckpointPolicy batches = Policy("batches", "latest", false);
  batches.mutable_save_freq()->set_number_value(3);
  v1::CheckpointPolicy highest = Policy("highest", "highest", true);
  highest.set_mode("max");
  highest.set_initial_value_threshold(0.25);
  return {Policy("best", "best", true), Policy("all", "e{epoch:02d}", false), batches, highest};
}

// A trainer and the daemon's half of its run, over one store.
class History {
 public:
  History(const std::string& data_dir, uint64_t seed) : data_dir_(data_dir), random_(seed) {
    Reopen();
    v1::Hello hello;
    hello.set_run("runs/r");
    auto attached = state_->Attach(hello, Policies(), std::nullopt, now_);
    EXPECT_OK(attached);
    Apply(attached->update);
  }

  CheckpointStore& store() { return *store_; }

  void Step(bool with_deletions) {
    const auto chance = random_() % 10;
    if (chance < 5) return TakeBatchEnd();
    if (chance < 7) return TakeEpochEnd();
    if (chance < 8 && !open_.empty()) return Fail();
    if (chance < 9 && !open_.empty()) return CommitOne();
    if (with_deletions) Delete();
  }

  // An epoch's end whose saves are all committed.
  void Finish() {
    TakeEpochEnd();
    while (!open_.empty()) CommitOne();
  }

  void Close() {
    state_.reset();
    store_.reset();
  }

 private:
  void Reopen() {
    auto store = CheckpointStore::Open({.data_dir = data_dir_, .on_index_error = {}});
    ASSERT_OK(store);
    store_ = *std::move(store);
    storage::RunSnapshot snapshot;
    snapshot.run.set_name("runs/r");
    state_.emplace(std::move(snapshot));
  }

  storage::ApplyResult Apply(const storage::RunUpdate& update) {
    auto result = store_->Apply({&update, 1});
    EXPECT_OK(result);
    return result.ok() ? *result : storage::ApplyResult();
  }

  double Loss() {
    constexpr double kLosses[] = {0.5, 0.4, 0.3, 0.2, 0.1, 0.6, 0.7, -1.5};
    const auto pick = random_() % 10;
    if (pick == 8) return std::numeric_limits<double>::quiet_NaN();
    return pick == 9 ? std::numeric_limits<double>::infinity() : kLosses[pick];
  }

  void TakeEpochEnd() { Take(EpochEnd(++seq_, epoch_++, Loss())); }

  void TakeBatchEnd() {
    v1::Event event = EpochEnd(++seq_, epoch_, Loss());
    event.set_kind(v1::Event::KIND_BATCH_END);
    event.set_batch(batch_++);
    Take(std::move(event));
  }

  void Take(v1::Event event) {
    now_ += 1'000'000'000;
    if (event.kind() == v1::Event::KIND_EPOCH_END) batch_ = 0;
    RunState::Intake intake{std::make_shared<v1::EventBatch>(Batch({std::move(event)}))};
    auto taken = state_->Take(intake, std::nullopt, now_);
    if (taken.name_check_wanted) {
      EXPECT_TRUE(taken.update.events.empty());
      Apply(taken.update);
      taken = state_->Take(
          intake, [](std::string_view) { return absl::OkStatus(); }, now_);
    }
    ASSERT_OK(taken.status);
    Apply(taken.update);
    for (const v1::Checkpoint& save : taken.update.opened_saves) open_.push_back(save);
  }

  v1::Checkpoint TakeOpen() {
    const size_t index = random_() % open_.size();
    v1::Checkpoint save = open_[index];
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(index));
    return save;
  }

  void Fail() { Apply(state_->Fail(ParseCheckpointName(TakeOpen().name())->id)); }

  void CommitOne() {
    const v1::Checkpoint save = TakeOpen();
    auto writer = store_->OpenPart(
        {.run = "r", .save = ParseCheckpointName(save.name())->id, .stage_id = ""});
    ASSERT_OK(writer);
    const std::string_view bytes = save.name();
    ASSERT_OK((*writer)->Append({&bytes, 1}));
    ASSERT_OK((*writer)->Finish(static_cast<int64_t>(bytes.size()), ""));
    const auto published = store_->Publish(save);
    ASSERT_OK(published);
    const storage::ApplyResult result = Apply(state_->Commit(*published));
    ASSERT_OK(store_->Project(*published));
    for (const v1::Eviction& eviction : result.evictions) ASSERT_OK(store_->Evict(eviction));
  }

  std::vector<v1::Checkpoint> OfPolicy(const policy::Policy& policy) {
    const auto page = store_->ListCheckpoints(
        {.run = "r",
         .page_token = "",
         .filter = "policy = \"" + policy.spec().name() + "\"",
         .order_by = policy.maximize() ? "metrics.loss desc" : "metrics.loss"});
    EXPECT_OK(page);
    return page.ok() ? page->checkpoints : std::vector<v1::Checkpoint>();
  }

  void Delete() {
    const auto page =
        store_->ListCheckpoints({.run = "r", .page_token = "", .filter = "", .order_by = ""});
    ASSERT_OK(page);
    if (page->checkpoints.empty()) return;
    const std::string name = page->checkpoints[random_() % page->checkpoints.size()].name();
    const std::string id = ParseCheckpointName(name)->id;
    std::map<std::string, std::optional<v1::Checkpoint>> next;
    for (const policy::Policy* policy : state_->PoliciesWithBest(id)) {
      for (const v1::Checkpoint& other : OfPolicy(*policy)) {
        if (other.name() == name || next.contains(policy->spec().name())) continue;
        next[policy->spec().name()] = other;
      }
    }
    for (const v1::Eviction& eviction : Apply(state_->Delete(id, next)).evictions) {
      ASSERT_OK(store_->Evict(eviction));
    }
  }

  const std::string data_dir_;
  std::mt19937_64 random_;
  std::unique_ptr<CheckpointStore> store_;
  std::optional<RunState> state_;
  std::vector<v1::Checkpoint> open_;
  uint64_t seq_ = 0;
  int64_t epoch_ = 0;
  int64_t batch_ = 0;
  int64_t now_ = 1'700'000'000'000'000'000;
};

// Everything the index says of the run, in lines.
std::vector<std::string> Dump(const CheckpointStore& store, bool with_events) {
  std::vector<std::string> lines;
  auto snapshot = store.LoadRun("r");
  EXPECT_OK(snapshot);
  if (!snapshot.ok()) return lines;
  snapshot->progress.clear_last_checkpoint_id();
  snapshot->progress.clear_writer_epoch();
  snapshot->progress.clear_failed_saves();
  snapshot->progress.clear_ends_known_from();
  lines.push_back("row " + snapshot->run.ShortDebugString());
  lines.push_back("progress " + snapshot->progress.ShortDebugString());
  auto run = store.GetRun("r");
  EXPECT_OK(run);
  run->clear_writer_epoch();
  lines.push_back("run " + run->ShortDebugString());
  const auto add = [&](const std::string& what, const absl::StatusOr<v1::Checkpoint>& found) {
    lines.push_back(what + ' ' +
                    (found.ok() ? found->name() : std::string(MessageOf(found.status()))));
  };
  add("latest", store.GetLatest("r"));
  for (const char* policy : {"", "best", "all", "batches", "highest"}) {
    for (const bool maximize : {false, true}) {
      add(std::string("best by ") + policy, store.GetBest("r", "loss", maximize, policy));
    }
  }
  const auto page = store.ListCheckpoints(
      {.run = "r", .page_size = 1000, .page_token = "", .filter = "", .order_by = ""});
  EXPECT_OK(page);
  for (const v1::Checkpoint& checkpoint : page->checkpoints) {
    lines.push_back(checkpoint.ShortDebugString());
  }
  if (!with_events) return lines;
  for (const v1::MetricName& metric : snapshot->metrics) lines.push_back(metric.ShortDebugString());
  const auto events = store.ListEvents("r", 0, 1000, "");
  EXPECT_OK(events);
  for (const v1::EventRecord& event : events->events) lines.push_back(event.ShortDebugString());
  return lines;
}

// What a new trainer is told in the next events, saves by their names on disk.
std::vector<std::string> NextDecisions(const CheckpointStore& store) {
  auto snapshot = store.LoadRun("r");
  EXPECT_OK(snapshot);
  RunState state(*std::move(snapshot));
  v1::Hello hello;
  hello.set_run("runs/r");
  EXPECT_OK(state.Attach(hello, {}, std::nullopt, 1));
  std::vector<std::string> told;
  uint64_t seq = state.last_seq();
  for (const double loss : {0.45, 0.35, 0.25, 0.15, 0.05, 0.55, 0.65, 0.75}) {
    v1::Event batch_end = EpochEnd(++seq, 100, loss);
    batch_end.set_kind(v1::Event::KIND_BATCH_END);
    batch_end.set_batch(static_cast<int64_t>(seq));
    const v1::Event epoch_end = EpochEnd(seq + 1, static_cast<int64_t>(seq), loss);
    ++seq;
    for (v1::Event event : {batch_end, epoch_end}) {
      RunState::Intake intake{std::make_shared<v1::EventBatch>(Batch({std::move(event)}))};
      auto taken = state.Take(
          intake, [](std::string_view) { return absl::OkStatus(); }, 2);
      EXPECT_OK(taken.status);
      for (const v1::Decision& decision : taken.answers) {
        for (v1::PolicyDecision decided : decision.policies()) {
          decided.clear_save();
          told.push_back(decided.ShortDebugString());
        }
      }
      for (const v1::Checkpoint& save : taken.update.opened_saves) {
        v1::Checkpoint committed = save;
        state.Commit(committed);
      }
    }
  }
  return told;
}

enum class Damage { kLost, kHealthy, kWithoutCurrent };

class RebuildPropertyTest : public testing::TestWithParam<Damage> {
 protected:
  // Opens the store of `dir` again, its index made anew after the damage.
  std::unique_ptr<CheckpointStore> Rebuilt() {
    const std::string index = data_ + "/index";
    if (GetParam() == Damage::kLost) fs::remove_all(index);
    if (GetParam() == Damage::kWithoutCurrent) fs::remove(index + "/CURRENT");
    EXPECT_OK(storage::RebuildIndex({.data_dir = data_}));
    auto store = CheckpointStore::Open({.data_dir = data_, .on_index_error = {}});
    EXPECT_OK(store);
    return store.ok() ? *std::move(store) : nullptr;
  }

  const storage::TempDir dir_;
  const std::string data_ = dir_ / "data";
};

TEST_P(RebuildPropertyTest, SaysWhatTheLostIndexSaid) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    fs::remove_all(data_);
    History history(data_, seed);
    const bool lost = GetParam() == Damage::kLost;
    for (int step = 0; step < 60; ++step) history.Step(/*with_deletions=*/!lost);
    history.Finish();
    const auto dump = Dump(history.store(), !lost);
    const auto decisions = NextDecisions(history.store());
    const uint64_t last_id = history.store().LoadRun("r")->progress.last_checkpoint_id();
    history.Close();

    const auto store = Rebuilt();
    ASSERT_NE(store, nullptr);
    EXPECT_THAT(Dump(*store, !lost), ElementsAreArray(dump));
    EXPECT_EQ(NextDecisions(*store), decisions);
    EXPECT_GE(store->LoadRun("r")->progress.last_checkpoint_id(), last_id);
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(, RebuildPropertyTest,
                         testing::Values(Damage::kLost, Damage::kHealthy, Damage::kWithoutCurrent),
                         [](const auto& test) {
                           switch (test.param) {
                             case Damage::kLost:
                               return "Lost";
                             case Damage::kHealthy:
                               return "Healthy";
                             default:
                               return "WithoutCurrent";
                           }
                         });

// With deletions, a lost index leaves some things open; these it does not.
TEST(RebuildOfALostIndexTest, HasTheSameCheckpointsAndNeverUsesAnIdTwice) {
  for (uint64_t seed = 101; seed <= 112; ++seed) {
    SCOPED_TRACE(seed);
    const storage::TempDir dir;
    const std::string data = dir / "data";
    History history(data, seed);
    for (int step = 0; step < 80; ++step) history.Step(/*with_deletions=*/true);
    history.Finish();
    const auto ids = [](const CheckpointStore& store) {
      std::vector<std::string> names;
      const auto page = store.ListCheckpoints({.run = "r",
                                               .page_size = 1000,
                                               .page_token = "",
                                               .filter = "",
                                               .order_by = "metrics.loss"});
      EXPECT_OK(page);
      for (const v1::Checkpoint& checkpoint : page->checkpoints) names.push_back(checkpoint.name());
      return names;
    };
    const auto before = ids(history.store());
    const uint64_t last_id = history.store().LoadRun("r")->progress.last_checkpoint_id();
    history.Close();
    fs::remove_all(data + "/index");
    ASSERT_OK(storage::RebuildIndex({.data_dir = data}));
    const auto store = CheckpointStore::Open({.data_dir = data, .on_index_error = {}});
    ASSERT_OK(store);
    EXPECT_EQ(ids(**store), before);
    const auto snapshot = (*store)->LoadRun("r");
    EXPECT_GE(snapshot->progress.last_checkpoint_id(), last_id);
    for (const v1::PolicyState& state : snapshot->progress.policy_states()) {
      if (state.best_checkpoint_id().empty()) continue;
      EXPECT_OK((*store)->GetCheckpoint("r", state.best_checkpoint_id())) << state.policy();
    }
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace ckpt::server
