#include "storage/catalog/catalog.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "catalog_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/catalog/key_encoding.h"

namespace ckpt::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CatalogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Reopen();
    Apply(MakeRun("r"));
  }

  void Reopen() {
    catalog_.reset();
    catalog_ = Must(Catalog::Open(dir_.options()));
  }

  ApplyResult Apply(const RunUpdate& update) { return Must(catalog_->Apply({&update, 1})); }

  template <typename Message>
  using Walk = absl::Status (Catalog::*)(absl::FunctionRef<bool(const Message&)>) const;

  // How many rows a walk sees that wants `limit` of them.
  template <typename Message>
  int Seen(Walk<Message> walk, int limit) {
    int seen = 0;
    Must((catalog_.get()->*walk)([&](const Message&) { return ++seen < limit; }));
    return seen;
  }

  TempDir dir_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(CatalogTest, EverythingIsThereAfterReopening) {
  RunUpdate update = MakeRun("r");
  update.progress.emplace().set_epoch(4);
  update.new_metrics.emplace_back().set_name("loss");
  EventRow event{.rank = 1, .record = {}};
  event.record.mutable_event()->set_seq(5);
  update.events.Add(event);
  update.opened_saves = {MakeCheckpoint("r", 9)};
  update.committed = {MakeCheckpoint("r", 1, {{"m", 1}}, {{"p", "a"}}),
                      MakeCheckpoint("r", 2, {{"m", 2}}, {{"p", "a"}}),
                      MakeCheckpoint("r", 3, {{"m", 3}}, {{"p", "b"}})};
  Apply(update);
  Reopen();
  EXPECT_EQ(Must(catalog_->GetRun("r")).epoch(), 4);
  EXPECT_EQ(Must(catalog_->LoadRun("r")).metrics.at(0).name(), "loss");
  EXPECT_THAT(IdsOf(Must(catalog_->LoadRun("r")).open_saves), ElementsAre("9"));
  EXPECT_TRUE(Must(catalog_->GetEvent("r", 1, 5)).has_value());
  EXPECT_EQ(Must(catalog_->ListEvents("r", 1, 10, "")).events.size(), 1u);
  EXPECT_THAT(IdsOf(Must(catalog_->ListCheckpoints({.run = "r"})).checkpoints),
              ElementsAre("2", "3"));
  EXPECT_EQ(IdOf(Must(catalog_->GetBest("r", "m", true, ""))), "3");
  EXPECT_EQ(Must(catalog_->NameOwner("r", "a")), "2");
  EXPECT_EQ(Seen<v1::Eviction>(&Catalog::ForEachEviction, 9), 1);
  const Catalog::Totals totals = catalog_->GetTotals();
  EXPECT_EQ(totals.runs, 1);
  EXPECT_EQ(totals.checkpoints, 2);
  EXPECT_EQ(totals.checkpoint_bytes, 102 + 103);
  EXPECT_EQ(totals.open_saves, 1);
}

TEST_F(CatalogTest, GetsByDecimalId) {
  RunUpdate update = Commit("r", {MakeCheckpoint("r", 1)});
  update.opened_saves = {MakeCheckpoint("r", 2)};
  Apply(update);
  EXPECT_EQ(Must(catalog_->GetCheckpoint("r", "1")).name(), "runs/r/checkpoints/1");
  for (const char* id : {"2", "3", "01", "", "latest", "-1"}) {
    const auto missing = catalog_->GetCheckpoint("r", id);
    EXPECT_EQ(ReasonOf(missing), v1::ERROR_REASON_CHECKPOINT_NOT_FOUND) << id;
  }
}

TEST_F(CatalogTest, LatestIsTheHighestId) {
  const auto none = catalog_->GetLatest("r");
  EXPECT_EQ(ReasonOf(none), v1::ERROR_REASON_ALIAS_UNRESOLVED);
  EXPECT_THAT(std::string(MessageOf(none.status())), HasSubstr("nothing has been committed yet"));
  Apply(Commit("r", {MakeCheckpoint("r", 300), MakeCheckpoint("r", 9)}));
  EXPECT_EQ(IdOf(Must(catalog_->GetLatest("r"))), "300");
}

TEST_F(CatalogTest, WalksStopWhenTold) {
  Apply(MakeRun("s"));
  RunUpdate update = Commit("r", {MakeCheckpoint("r", 1), MakeCheckpoint("r", 2)});
  update.opened_saves = {MakeCheckpoint("r", 3), MakeCheckpoint("r", 4)};
  Apply(update);
  Apply(Commit("s", {MakeCheckpoint("s", 1)}));
  Must(catalog_->DeleteRun("s"));
  Apply(MakeRun("s"));
  EXPECT_EQ(Seen<v1::Run>(&Catalog::ForEachRun, 9), 2);
  EXPECT_EQ(Seen<v1::Run>(&Catalog::ForEachRun, 1), 1);
  EXPECT_EQ(Seen<v1::Checkpoint>(&Catalog::ForEachCheckpoint, 9), 2);
  EXPECT_EQ(Seen<v1::Checkpoint>(&Catalog::ForEachCheckpoint, 1), 1);
  EXPECT_EQ(Seen<v1::Checkpoint>(&Catalog::ForEachSave, 9), 2);
  EXPECT_EQ(Seen<v1::Checkpoint>(&Catalog::ForEachSave, 1), 1);
  EXPECT_EQ(Seen<v1::Eviction>(&Catalog::ForEachEviction, 9), 1);
}

TEST_F(CatalogTest, EvictionsEnd) {
  Apply(Commit("r", {MakeCheckpoint("r", 1)}));
  Must(catalog_->DeleteRun("r"));
  Must(catalog_->FinishEviction("r", "2"));
  Must(catalog_->FinishEviction("r", "none"));
  EXPECT_EQ(Seen<v1::Eviction>(&Catalog::ForEachEviction, 9), 1);
  Must(catalog_->FinishEviction("r", "1"));
  EXPECT_EQ(Seen<v1::Eviction>(&Catalog::ForEachEviction, 9), 0);
  Must(catalog_->FinishEviction("r", "1"));
}

TEST_F(CatalogTest, RecordsProjectionErrors) {
  v1::Checkpoint checkpoint =
      MakeCheckpoint("r", 1, {{"m", 1}}, {{"p", "a"}, {"q", "b"}, {"s", "a"}});
  checkpoint.add_policy_states()->set_policy("p");
  Apply(Commit("r", {checkpoint}));
  Must(catalog_->SetProjectionError("r", "1", "a", "a folder is in the way"));
  v1::Checkpoint stored = Must(catalog_->GetCheckpoint("r", "1"));
  EXPECT_EQ(stored.placements(0).projection_error(), "a folder is in the way");
  EXPECT_EQ(stored.placements(1).projection_error(), "");
  EXPECT_EQ(stored.placements(2).projection_error(), "a folder is in the way");
  EXPECT_EQ(stored.policy_states_size(), 1);
  Must(catalog_->SetProjectionError("r", "1", "a", ""));
  stored = Must(catalog_->GetCheckpoint("r", "1"));
  EXPECT_EQ(stored.SerializeAsString(), checkpoint.SerializeAsString());
}

TEST_F(CatalogTest, ProjectionErrorsOfWhatIsGoneAreForgotten) {
  Apply(Commit("r", {MakeCheckpoint("r", 1, {}, {{"p", "a"}})}));
  Apply(Commit("r", {MakeCheckpoint("r", 2, {}, {{"p", "a"}})}));
  Must(catalog_->SetProjectionError("r", "1", "a", "late"));
  Must(catalog_->SetProjectionError("r", "2", "b", "late"));
  Must(catalog_->SetProjectionError("r", "x", "a", "late"));
  Must(catalog_->SetProjectionError("none", "1", "a", "late"));
  EXPECT_EQ(Seen<v1::Checkpoint>(&Catalog::ForEachCheckpoint, 9), 1);
  EXPECT_EQ(Must(catalog_->GetCheckpoint("r", "2")).placements(0).projection_error(), "");
}

TEST_F(CatalogTest, ReportsDamagedRows) {
  Apply(Commit("r", {MakeCheckpoint("r", 1, {{"m", 1}}, {{"p", "a"}})}));
  catalog_.reset();
  WriteRow(dir_, Table::kCheckpoints, CheckpointKey("r", 1), kDamaged);
  WriteRow(dir_, Table::kEvictions, CheckpointKey("r", 5), kDamaged);
  WriteRow(dir_, Table::kNames, NameKey("r", "odd"), "7");
  Reopen();
  constexpr auto kFailed = v1::ERROR_REASON_INDEX_DAMAGED;
  EXPECT_EQ(ReasonOf(catalog_->GetCheckpoint("r", "1")), kFailed);
  EXPECT_EQ(ReasonOf(catalog_->GetLatest("r")), kFailed);
  EXPECT_EQ(ReasonOf(catalog_->GetBest("r", "m", true, "")), kFailed);
  EXPECT_EQ(ReasonOf(catalog_->SetProjectionError("r", "1", "a", "x")), kFailed);
  EXPECT_EQ(ReasonOf(catalog_->ForEachCheckpoint([](const auto&) { return true; })), kFailed);
  EXPECT_EQ(ReasonOf(catalog_->ForEachEviction([](const auto&) { return true; })), kFailed);
  EXPECT_EQ(ReasonOf(catalog_->NameOwner("r", "odd")), kFailed);
  EXPECT_EQ(ReasonOf(catalog_->DeleteRun("r")), kFailed);
  for (const char* path : {"a", "odd"}) {
    const RunUpdate update = Commit("r", {MakeCheckpoint("r", 2, {}, {{"p", path}})});
    EXPECT_EQ(ReasonOf(catalog_->Apply({&update, 1})), kFailed) << path;
  }
  EXPECT_EQ(ReasonOf(catalog_->GetCheckpoint("r", "2")), v1::ERROR_REASON_CHECKPOINT_NOT_FOUND)
      << "nothing was changed";
}

// While one name changes hands, readers always find a whole checkpoint under it.
TEST_F(CatalogTest, ReadersSeeWholeBatches) {
  Apply(Commit("r", {MakeCheckpoint("r", 1, {{"m", 1}}, {{"p", "a"}})}));
  std::atomic<bool> done = false;
  const auto read = [&] {
    int reads = 0;
    do {
      EXPECT_TRUE(catalog_->GetBest("r", "m", false, "p").ok());
      EXPECT_EQ(
          Must(catalog_->ListCheckpoints({.run = "r", .order_by = "metrics.m"})).checkpoints.size(),
          1u);
      EXPECT_EQ(Must(catalog_->GetRun("r")).checkpoint_count(), 1);
      ++reads;
    } while (!done);
    return reads;
  };
  std::thread first(read);
  std::thread second(read);
  for (uint64_t id = 2; id < 200; ++id) {
    Apply(
        Commit("r", {MakeCheckpoint("r", id, {{"m", static_cast<double>(id % 7)}}, {{"p", "a"}})}));
  }
  done = true;
  first.join();
  second.join();
}

// Writers of different kinds change the same row; no change is lost, and none brings a row back.
TEST_F(CatalogTest, WritersWaitForEachOther) {
  Apply(Commit("r", {MakeCheckpoint("r", 1, {}, {{"p", "a"}})}));
  std::atomic<uint64_t> newest = 1;
  std::atomic<bool> done = false;
  std::thread projector([&] {
    for (int i = 0; !done; ++i) {
      Must(catalog_->SetProjectionError("r", std::to_string(newest), "a", std::to_string(i)));
    }
  });
  for (uint64_t id = 2; id < 100; ++id) {
    EXPECT_EQ(Apply(Commit("r", {MakeCheckpoint("r", id, {}, {{"p", "a"}})})).evictions.size(), 1u);
    newest = id;
  }
  done = true;
  projector.join();
  EXPECT_EQ(Seen<v1::Checkpoint>(&Catalog::ForEachCheckpoint, 999), 1);
}

TEST(Catalog, ANewIndexIsEmpty) {
  const TempDir dir;
  const std::unique_ptr<Catalog> catalog = Must(Catalog::Open(dir.options()));
  EXPECT_EQ(catalog->GetTotals().runs, 0);
  EXPECT_THAT(Must(catalog->ListRuns(10, "", "")).runs, IsEmpty());
}

TEST(Catalog, RefusesANewerVersion) {
  const TempDir dir;
  WriteRow(dir, Table::kMeta, "version", "3");
  EXPECT_EQ(ReasonOf(Catalog::Open(dir.options())), v1::ERROR_REASON_VERSION_TOO_NEW);
}

}  // namespace
}  // namespace ckpt::storage
