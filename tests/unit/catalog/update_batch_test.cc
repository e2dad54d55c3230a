#include "storage/catalog/update_batch.h"

#include <cmath>
#include <string>
#include <vector>

#include "catalog_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ckpt::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using std::string_literals::operator""s;

class UpdateBatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    catalog_ = Must(Catalog::Open(dir_.options()));
    Apply({MakeRun("r")});
  }

  ApplyResult Apply(const std::vector<RunUpdate>& updates) {
    return Must(catalog_->Apply(updates));
  }

  std::vector<std::string> Ids() {
    return IdsOf(Must(catalog_->ListCheckpoints({.run = "r"})).checkpoints);
  }
  std::vector<std::string> Saves() { return IdsOf(Must(catalog_->LoadRun("r")).open_saves); }
  std::vector<std::string> Evictions() {
    std::vector<std::string> names;
    Must(catalog_->ForEachEviction([&](const v1::Eviction& eviction) {
      names.push_back(eviction.checkpoint().name());
      return true;
    }));
    return names;
  }
  std::string Owner(std::string_view filepath) {
    return Must(catalog_->NameOwner("r", filepath)).value_or("none");
  }
  std::vector<std::string> Paths(const char* id) {
    return PathsOf(Must(catalog_->GetCheckpoint("r", id)));
  }

  TempDir dir_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(UpdateBatchTest, ANewNameHasAnOwner) {
  const ApplyResult result = Apply({Commit("r", {MakeCheckpoint("r", 1, {}, {{"p", "a.ckpt"}})})});
  EXPECT_THAT(result.evictions, IsEmpty());
  EXPECT_EQ(Owner("a.ckpt"), "1");
  EXPECT_EQ(Owner("b.ckpt"), "none");
  EXPECT_EQ(Owner("a.ckpt\0"s), "none");
}

TEST_F(UpdateBatchTest, ALaterCheckpointTakesTheName) {
  Apply({Commit("r", {MakeCheckpoint("r", 1, {{"m", 1}}, {{"p", "a"}})})});
  const ApplyResult result =
      Apply({Commit("r", {MakeCheckpoint("r", 2, {{"m", 2}}, {{"p", "a"}})})});
  EXPECT_THAT(IdsOf(result), ElementsAre("1"));
  EXPECT_THAT(PathsOf(result.evictions[0].checkpoint()), ElementsAre("p:a"))
      << "an eviction has the names to unlink";
  EXPECT_EQ(Owner("a"), "2");
  EXPECT_THAT(Ids(), ElementsAre("2"));
  EXPECT_THAT(Evictions(), ElementsAre("runs/r/checkpoints/1"));
  EXPECT_EQ(ReasonOf(catalog_->GetCheckpoint("r", "1")), v1::ERROR_REASON_CHECKPOINT_NOT_FOUND);
  EXPECT_EQ(IdOf(Must(catalog_->GetBest("r", "m", false, ""))), "2") << "ranking rows go, too";
  const v1::Run run = Must(catalog_->GetRun("r"));
  EXPECT_EQ(run.checkpoint_count(), 1);
  EXPECT_EQ(run.checkpoint_bytes(), 102);
  EXPECT_EQ(catalog_->GetTotals().checkpoints, 1);
  EXPECT_EQ(catalog_->GetTotals().checkpoint_bytes, 102);
}

TEST_F(UpdateBatchTest, LosesOneOfTwoNames) {
  Apply({Commit("r", {MakeCheckpoint("r", 1, {}, {{"p", "a"}, {"q", "b"}})})});
  EXPECT_THAT(Apply({Commit("r", {MakeCheckpoint("r", 2, {}, {{"p", "a"}})})}).evictions,
              IsEmpty());
  EXPECT_THAT(Paths("1"), ElementsAre("q:b"));
  EXPECT_THAT(IdsOf(Apply({Commit("r", {MakeCheckpoint("r", 3, {}, {{"q", "b"}})})})),
              ElementsAre("1"));
}

TEST_F(UpdateBatchTest, LosesTwoNamesAtOnce) {
  Apply({Commit("r", {MakeCheckpoint("r", 1, {}, {{"p", "a"}, {"q", "b"}})})});
  const ApplyResult result =
      Apply({Commit("r", {MakeCheckpoint("r", 2, {}, {{"p", "b"}, {"q", "a"}})})});
  ASSERT_THAT(IdsOf(result), ElementsAre("1"));
  EXPECT_THAT(PathsOf(result.evictions[0].checkpoint()), ElementsAre("p:a", "q:b"));
}

TEST_F(UpdateBatchTest, TwoPoliciesShareOneName) {
  Apply({Commit("r", {MakeCheckpoint("r", 1, {}, {{"p", "a"}, {"q", "a"}})})});
  EXPECT_THAT(Paths("1"), ElementsAre("p:a", "q:a"));
  EXPECT_THAT(IdsOf(Apply({Commit("r", {MakeCheckpoint("r", 2, {}, {{"p", "a"}, {"q", "a"}})})})),
              ElementsAre("1"));
  EXPECT_THAT(Ids(), ElementsAre("2"));
}

TEST_F(UpdateBatchTest, ASlowSaveDoesNotTakeTheNameOfANewerOne) {
  Apply({Commit("r", {MakeCheckpoint("r", 5, {{"m", 1}}, {{"p", "a"}})})});
  const ApplyResult late =
      Apply({Commit("r", {MakeCheckpoint("r", 4, {{"m", 0}}, {{"p", "a"}, {"q", "b"}})})});
  EXPECT_THAT(late.evictions, IsEmpty());
  EXPECT_EQ(Owner("a"), "5");
  EXPECT_THAT(Paths("4"), ElementsAre("q:b"));
  const ApplyResult lost = Apply({Commit("r", {MakeCheckpoint("r", 3, {}, {{"p", "a"}})})});
  EXPECT_THAT(IdsOf(lost), ElementsAre("3")) << "no name is left for it";
  EXPECT_THAT(PathsOf(lost.evictions[0].checkpoint()), ElementsAre("p:a"));
  EXPECT_EQ(Owner("a"), "5");
  EXPECT_THAT(Ids(), ElementsAre("4", "5"));
}

TEST_F(UpdateBatchTest, ACheckpointWithoutNamesStays) {
  Apply({Commit("r", {MakeCheckpoint("r", 1), MakeCheckpoint("r", 2)})});
  EXPECT_THAT(Ids(), ElementsAre("1", "2"));
}

TEST_F(UpdateBatchTest, SeesWhatTheSameBatchDid) {
  const ApplyResult result = Apply({
      MakeRun("s"),
      Commit("r", {MakeCheckpoint("r", 1, {{"m", 1}}, {{"p", "a"}}),
                   MakeCheckpoint("r", 2, {{"m", 2}}, {{"p", "a"}})}),
      Commit("s", {MakeCheckpoint("s", 1, {}, {{"p", "a"}})}),
      Commit("r", {MakeCheckpoint("r", 3, {{"m", 3}}, {{"p", "a"}})}),
  });
  EXPECT_THAT(IdsOf(result), ElementsAre("1", "2"));
  EXPECT_THAT(Ids(), ElementsAre("3"));
  EXPECT_EQ(Owner("a"), "3");
  EXPECT_EQ(IdOf(Must(catalog_->GetBest("r", "m", false, ""))), "3");
  EXPECT_EQ(Must(catalog_->GetRun("r")).checkpoint_count(), 1);
  EXPECT_EQ(Must(catalog_->GetRun("s")).checkpoint_count(), 1);
  EXPECT_EQ(catalog_->GetTotals().runs, 2);
}

TEST_F(UpdateBatchTest, CommittingAgainChangesNothing) {
  RunUpdate update = Commit("r", {MakeCheckpoint("r", 1, {{"m", 1}}, {{"p", "a"}})});
  Apply({update});
  (*update.committed[0].mutable_metrics())["m"] = 7;
  update.committed[0].set_size(9);
  update.progress.emplace().set_epoch(3);
  Apply({update, update});
  EXPECT_EQ(Must(catalog_->GetCheckpoint("r", "1")).metrics().at("m"), 1);
  const v1::Run run = Must(catalog_->GetRun("r"));
  EXPECT_EQ(run.checkpoint_count(), 1);
  EXPECT_EQ(run.checkpoint_bytes(), 101);
  EXPECT_EQ(run.epoch(), 3) << "the rest of the update counts";
}

TEST_F(UpdateBatchTest, SavesOpenAndClose) {
  RunUpdate update = Commit("r", {});
  update.opened_saves = {MakeCheckpoint("r", 1), MakeCheckpoint("r", 2), MakeCheckpoint("r", 3)};
  update.closed_saves = {"2", "77"};
  Apply({update});
  EXPECT_THAT(Saves(), ElementsAre("1", "3"));
  EXPECT_EQ(catalog_->GetTotals().open_saves, 2);
  Apply({Commit("r", {MakeCheckpoint("r", 3)})});
  EXPECT_THAT(Saves(), ElementsAre("1")) << "a commit closes its save";
  update.opened_saves = {MakeCheckpoint("r", 1)};
  update.closed_saves = {};
  Apply({update, update});
  EXPECT_EQ(catalog_->GetTotals().open_saves, 1) << "opened again is open once";
  update.closed_saves = {"1"};
  Apply({update});
  EXPECT_EQ(catalog_->GetTotals().open_saves, 0);
}

TEST_F(UpdateBatchTest, DeletesWhateverTheNames) {
  Apply({Commit("r", {MakeCheckpoint("r", 1, {{"m", 1}}, {{"p", "a"}, {"q", "b"}}),
                      MakeCheckpoint("r", 2, {{"m", 2}}, {{"p", "a"}})})});
  RunUpdate update = Commit("r", {});
  update.deleted = {"1", "99", "1"};
  const ApplyResult result = Apply({update});
  EXPECT_THAT(IdsOf(result), ElementsAre("1"));
  EXPECT_EQ(Owner("a"), "2") << "a name that it had lost stays";
  EXPECT_EQ(Owner("b"), "none");
  EXPECT_THAT(Ids(), ElementsAre("2"));
}

TEST_F(UpdateBatchTest, RowsLeaveOutWhatOnlyManifestsHave) {
  v1::Checkpoint checkpoint = MakeCheckpoint("r", 1);
  v1::Part& part = *checkpoint.add_parts();
  part.set_part("weights");
  part.set_xxh3_128("0123456789abcdef");
  part.set_block_digests("01234567");
  Apply({Commit("r", {checkpoint})});
  const v1::Part stored = Must(catalog_->GetCheckpoint("r", "1")).parts(0);
  EXPECT_EQ(stored.block_digests(), "");
  EXPECT_EQ(stored.xxh3_128(), "0123456789abcdef");
}

TEST_F(UpdateBatchTest, NanDoesNotRankAndInfinityDoes) {
  Apply(
      {Commit("r", {MakeCheckpoint("r", 1, {{"m", NAN}}), MakeCheckpoint("r", 2, {{"m", INFINITY}}),
                    MakeCheckpoint("r", 3, {{"m", 5}})})});
  EXPECT_EQ(IdOf(Must(catalog_->GetBest("r", "m", true, ""))), "2");
  EXPECT_EQ(IdOf(Must(catalog_->GetBest("r", "m", false, ""))), "3");
}

TEST_F(UpdateBatchTest, RefusesWhatNoRowCanBeMadeOf) {
  struct Case {
    const char* what;
    RunUpdate update;
    v1::ErrorReason reason;
  };
  std::vector<Case> cases;
  constexpr auto kField = v1::ERROR_REASON_FIELD_INVALID;
  constexpr auto kName = v1::ERROR_REASON_NAME_INVALID;
  const auto with = [](auto change) {
    RunUpdate update = Commit("r", {MakeCheckpoint("r", 1, {}, {{"p", "a"}})});
    change(update);
    return update;
  };
  cases.push_back({"run id", MakeRun("../r"), kName});
  cases.push_back({"no run", MakeRun(""), kName});
  cases.push_back({"no row", Commit("none", {}), v1::ERROR_REASON_RUN_NOT_FOUND});
  cases.push_back({"row of another run",
                   with([](RunUpdate& u) { u.run_row.emplace().set_name("runs/q"); }), kField});
  cases.push_back({"checkpoint of another run", Commit("r", {MakeCheckpoint("q", 1)}), kField});
  cases.push_back({"checkpoint 0", Commit("r", {MakeCheckpoint("r", 0)}), kName});
  cases.push_back({"alias",
                   with([](RunUpdate& u) { u.committed[0].set_name("runs/r/checkpoints/best"); }),
                   kField});
  cases.push_back({"no name", with([](RunUpdate& u) { u.committed[0].clear_name(); }), kName});
  cases.push_back({"NUL in a metric",
                   with([](RunUpdate& u) { (*u.committed[0].mutable_metrics())["a\0b"s] = 1; }),
                   kField});
  cases.push_back({"NUL in a path", with([](RunUpdate& u) {
                     u.committed[0].mutable_placements(0)->set_filepath("a\0"s);
                   }),
                   kField});
  cases.push_back(
      {"no path",
       with([](RunUpdate& u) { u.committed[0].mutable_placements(0)->set_filepath(""); }), kField});
  cases.push_back({"policy", with([](RunUpdate& u) {
                     u.committed[0].mutable_placements(0)->set_policy("a\0"s);
                   }),
                   kName});
  cases.push_back({"save of another run",
                   with([](RunUpdate& u) { u.opened_saves = {MakeCheckpoint("q", 1)}; }), kField});
  cases.push_back({"closed", with([](RunUpdate& u) { u.closed_saves = {"x"}; }), kField});
  cases.push_back({"deleted", with([](RunUpdate& u) { u.deleted = {"latest"}; }), kField});
  cases.push_back(
      {"rank", with([](RunUpdate& u) { u.events.Add({.rank = -1, .record = {}}); }), kField});
  const RunUpdate good = Commit("r", {MakeCheckpoint("r", 7, {}, {{"p", "good"}})});
  for (const Case& test : cases) {
    const RunUpdate updates[] = {good, test.update};
    EXPECT_EQ(ReasonOf(catalog_->Apply(updates)), test.reason) << test.what;
  }
  EXPECT_THAT(Ids(), IsEmpty()) << "all or none";
  EXPECT_EQ(Owner("good"), "none");
  EXPECT_EQ(catalog_->GetTotals().checkpoints, 0);
  EXPECT_EQ(catalog_->GetTotals().runs, 1);
}

TEST_F(UpdateBatchTest, DeletesARun) {
  EventRow event;
  event.record.mutable_event()->set_seq(1);
  std::vector<RunUpdate> updates;
  for (const char* run : {"r", "r-", "rr"}) {
    RunUpdate update = MakeRun(run);
    update.progress.emplace().set_epoch(1);
    update.new_metrics.emplace_back().set_name("m");
    update.events.Add(event);
    update.opened_saves = {MakeCheckpoint(run, 8), MakeCheckpoint(run, 9)};
    update.committed = {MakeCheckpoint(run, 1, {{"m", 1}}, {{"p", "a"}}),
                        MakeCheckpoint(run, 2, {{"m", 2}}, {{"p", "b"}})};
    updates.push_back(update);
  }
  Apply(updates);
  const ApplyResult result = Must(catalog_->DeleteRun("r"));
  EXPECT_THAT(IdsOf(result), ElementsAre("1", "2"));
  EXPECT_THAT(Evictions(), ElementsAre("runs/r/checkpoints/1", "runs/r/checkpoints/2"));
  EXPECT_EQ(ReasonOf(catalog_->GetRun("r")), v1::ERROR_REASON_RUN_NOT_FOUND);
  EXPECT_EQ(Owner("a"), "none");
  EXPECT_FALSE(Must(catalog_->GetEvent("r", 0, 1)).has_value());
  const Catalog::Totals totals = catalog_->GetTotals();
  EXPECT_EQ(totals.runs, 2);
  EXPECT_EQ(totals.checkpoints, 4);
  EXPECT_EQ(totals.checkpoint_bytes, 2 * (101 + 102));
  EXPECT_EQ(totals.open_saves, 4);
  for (const char* run : {"r-", "rr"}) {
    EXPECT_EQ(Must(catalog_->LoadRun(run)).open_saves.size(), 2u) << run;
    EXPECT_EQ(Must(catalog_->GetRun(run)).checkpoint_count(), 2) << run;
    EXPECT_TRUE(Must(catalog_->GetEvent(run, 0, 1)).has_value()) << run;
    EXPECT_EQ(Must(catalog_->NameOwner(run, "a")), "1") << run;
  }
  // A new run of the name starts from nothing.
  Apply({MakeRun("r")});
  const RunSnapshot snapshot = Must(catalog_->LoadRun("r"));
  EXPECT_EQ(snapshot.progress.epoch(), 0);
  EXPECT_THAT(snapshot.metrics, IsEmpty());
  EXPECT_THAT(snapshot.open_saves, IsEmpty());
  EXPECT_THAT(Ids(), IsEmpty());
  EXPECT_EQ(Must(catalog_->GetRun("r")).checkpoint_count(), 0);
  EXPECT_EQ(ReasonOf(catalog_->GetBest("r", "m", false, "")), v1::ERROR_REASON_ALIAS_UNRESOLVED);
}

}  // namespace
}  // namespace ckpt::storage
