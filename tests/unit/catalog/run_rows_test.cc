#include "storage/catalog/run_rows.h"

#include <string>
#include <vector>

#include "catalog_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/catalog/key_encoding.h"

namespace ckpt::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::MetricName MakeMetric(uint32_t id, const char* name) {
  v1::MetricName metric;
  metric.set_id(id);
  metric.set_name(name);
  return metric;
}

v1::PolicyState MakeState(const char* policy, double best) {
  v1::PolicyState state;
  state.set_policy(policy);
  state.set_best(best);
  return state;
}

std::vector<std::string> NamesOf(const RunPage& page) {
  std::vector<std::string> names;
  for (const v1::Run& run : page.runs) names.push_back(run.name().substr(5));
  return names;
}

class RunRowsTest : public ::testing::Test {
 protected:
  void SetUp() override { catalog_ = Must(Catalog::Open(dir_.options())); }

  void Apply(const RunUpdate& update) { Must(catalog_->Apply({&update, 1})); }

  // Adds runs whose dictionaries lie between them.
  void AddRuns(std::initializer_list<const char*> runs) {
    for (const char* run : runs) {
      RunUpdate update = MakeRun(run);
      update.new_metrics = {MakeMetric(1, "a"), MakeMetric(2, "b")};
      Apply(update);
    }
  }

  TempDir dir_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(RunRowsTest, AssemblesTheResource) {
  RunUpdate update = MakeRun("r");
  (*update.run_row->mutable_labels())["team"] = "vision";
  update.run_row->add_policies()->set_name("b");
  update.run_row->add_policies()->set_name("new");
  update.run_row->add_policies()->set_name("a");
  update.run_row->mutable_create_time()->set_seconds(5);
  v1::RunProgress& progress = update.progress.emplace();
  progress.add_durable_seqs(7);
  progress.add_durable_seqs(8);
  progress.set_writer_epoch(3);
  progress.set_epoch(4);
  progress.set_update_time_unix_nanos(12'000'000'034);
  for (const auto& state : {MakeState("a", 1), MakeState("b", 2), MakeState("former", 3)}) {
    *progress.add_policy_states() = state;
  }
  update.committed = {MakeCheckpoint("r", 1), MakeCheckpoint("r", 2)};
  Apply(update);

  const v1::Run run = Must(catalog_->GetRun("r"));
  EXPECT_EQ(run.name(), "runs/r");
  EXPECT_EQ(run.state(), v1::Run::STATE_DISCONNECTED);
  EXPECT_EQ(run.labels().at("team"), "vision");
  EXPECT_EQ(run.create_time().seconds(), 5);
  EXPECT_EQ(run.update_time().seconds(), 12);
  EXPECT_EQ(run.update_time().nanos(), 34);
  EXPECT_EQ(run.writer_epoch(), 3u);
  EXPECT_EQ(run.durable_seq(), 7u);
  EXPECT_EQ(run.epoch(), 4);
  EXPECT_EQ(run.checkpoint_count(), 2);
  EXPECT_EQ(run.checkpoint_bytes(), 101 + 102);
  ASSERT_EQ(run.policy_states_size(), 3);
  EXPECT_EQ(run.policy_states(0).best(), 2);
  EXPECT_EQ(run.policy_states(1).policy(), "new");
  EXPECT_EQ(run.policy_states(2).best(), 1);

  progress.set_ended(true);
  update.run_row.reset();
  Apply(update);
  EXPECT_EQ(Must(catalog_->GetRun("r")).state(), v1::Run::STATE_ENDED);
}

TEST_F(RunRowsTest, ARunWithoutEvents) {
  AddRuns({"r"});
  const v1::Run run = Must(catalog_->GetRun("r"));
  EXPECT_EQ(run.state(), v1::Run::STATE_DISCONNECTED);
  EXPECT_FALSE(run.has_update_time());
  EXPECT_EQ(run.durable_seq(), 0u);
}

TEST_F(RunRowsTest, UnknownRuns) {
  AddRuns({"r"});
  for (const std::string_view run : {std::string_view("q"), std::string_view(""),
                                     std::string_view("r\0\x04", 3), std::string_view("../r")}) {
    EXPECT_EQ(ReasonOf(catalog_->GetRun(run)), v1::ERROR_REASON_RUN_NOT_FOUND);
    EXPECT_EQ(ReasonOf(catalog_->LoadRun(run)), v1::ERROR_REASON_RUN_NOT_FOUND);
    EXPECT_EQ(ReasonOf(catalog_->GetLatest(run)), v1::ERROR_REASON_RUN_NOT_FOUND);
    EXPECT_EQ(ReasonOf(catalog_->GetBest(run, "m", false, "")), v1::ERROR_REASON_RUN_NOT_FOUND);
    EXPECT_EQ(ReasonOf(catalog_->GetCheckpoint(run, "1")), v1::ERROR_REASON_RUN_NOT_FOUND);
    EXPECT_EQ(ReasonOf(catalog_->ListEvents(run, 0, 1, "")), v1::ERROR_REASON_RUN_NOT_FOUND);
    EXPECT_EQ(ReasonOf(catalog_->DeleteRun(run)), v1::ERROR_REASON_RUN_NOT_FOUND);
  }
}

TEST_F(RunRowsTest, LoadsAllThatTheOwnerNeeds) {
  RunUpdate update = MakeRun("r");
  update.progress.emplace().set_last_checkpoint_id(300);
  update.new_metrics = {MakeMetric(65535, "z"), MakeMetric(2, "val/loss")};
  update.opened_saves = {MakeCheckpoint("r", 300), MakeCheckpoint("r", 2)};
  Apply(update);
  AddRuns({"q", "r1"});

  const RunSnapshot snapshot = Must(catalog_->LoadRun("r"));
  EXPECT_EQ(snapshot.run.name(), "runs/r");
  EXPECT_EQ(snapshot.progress.last_checkpoint_id(), 300u);
  ASSERT_EQ(snapshot.metrics.size(), 2u);
  EXPECT_EQ(snapshot.metrics[0].id(), 2u);
  EXPECT_EQ(snapshot.metrics[0].name(), "val/loss");
  EXPECT_EQ(snapshot.metrics[1].id(), 65535u);
  EXPECT_THAT(IdsOf(snapshot.open_saves), ElementsAre("2", "300"));
  EXPECT_THAT(snapshot.published, IsEmpty());
}

TEST_F(RunRowsTest, PagesByName) {
  AddRuns({"b", "a.1", "a", "a-1", "B", "c"});
  EXPECT_THAT(NamesOf(Must(catalog_->ListRuns(100, "", ""))),
              ElementsAre("B", "a", "a-1", "a.1", "b", "c"));
  const RunPage first = Must(catalog_->ListRuns(2, "", ""));
  EXPECT_THAT(NamesOf(first), ElementsAre("B", "a"));
  // Runs come and go; the token stays where it was.
  Must(catalog_->DeleteRun("a"));
  AddRuns({"A", "a0"});
  const RunPage second = Must(catalog_->ListRuns(4, first.next_page_token, ""));
  EXPECT_THAT(NamesOf(second), ElementsAre("a-1", "a.1", "a0", "b"));
  const RunPage third = Must(catalog_->ListRuns(1, second.next_page_token, ""));
  EXPECT_THAT(NamesOf(third), ElementsAre("c"));
  EXPECT_EQ(third.next_page_token, "");
}

TEST_F(RunRowsTest, Filters) {
  AddRuns({"a", "b", "c"});
  RunUpdate ended = MakeRun("b");
  ended.progress.emplace().set_ended(true);
  Apply(ended);
  EXPECT_THAT(NamesOf(Must(catalog_->ListRuns(100, "", "state = \"ended\""))), ElementsAre("b"));
  const RunPage page = Must(catalog_->ListRuns(1, "", "state = \"disconnected\""));
  EXPECT_THAT(NamesOf(page), ElementsAre("a"));
  EXPECT_THAT(
      NamesOf(Must(catalog_->ListRuns(1, page.next_page_token, "state = \"disconnected\""))),
      ElementsAre("c"));
  EXPECT_EQ(ReasonOf(catalog_->ListRuns(1, page.next_page_token, "")),
            v1::ERROR_REASON_PAGE_TOKEN_INVALID);
  EXPECT_EQ(ReasonOf(catalog_->ListRuns(1, "", "id = 1")), v1::ERROR_REASON_QUERY_INVALID);
}

TEST_F(RunRowsTest, PagesAreBoundedInBytes) {
  for (const char* run : {"a", "b", "c"}) {
    RunUpdate update = MakeRun(run);
    update.run_row->add_policies()->set_filepath(std::string(900 << 10, 'x'));
    Apply(update);
  }
  EXPECT_THAT(NamesOf(Must(catalog_->ListRuns(100, "", ""))), ElementsAre("a", "b"));
}

TEST_F(RunRowsTest, ReportsDamage) {
  RunUpdate update = MakeRun("r");
  update.progress.emplace();
  update.new_metrics = {MakeMetric(1, "m")};
  update.opened_saves = {MakeCheckpoint("r", 1)};
  update.committed = {MakeCheckpoint("r", 2)};
  Apply(update);
  catalog_.reset();
  const auto damaged = [&](Table table, const std::string& key) {
    const std::unique_ptr<IndexDb> index = Must(IndexDb::Open(dir_.options()));
    const std::string good = *Must(index->View().Get(table, key));
    const auto put = [&](std::string_view value) {
      Batch batch = index->NewBatch();
      batch.Put(table, key, value);
      Must(index->Write(std::move(batch)));
    };
    put(kDamaged);
    const auto run = ReasonOf(ReadRun(index->View(), "r"));
    const auto snapshot = ReasonOf(ReadRunSnapshot(index->View(), "r"));
    const auto page = ReasonOf(FindRuns(index->View(), 10, "", ""));
    put(good);
    return std::vector<v1::ErrorReason>{run, snapshot, page};
  };
  constexpr auto kFailed = v1::ERROR_REASON_INDEX_DAMAGED;
  constexpr auto kOk = v1::ERROR_REASON_UNSPECIFIED;
  for (const RunRow row : {RunRow::kRun, RunRow::kProgress, RunRow::kStats}) {
    EXPECT_THAT(damaged(Table::kRuns, RunKey("r", row)), ElementsAre(kFailed, kFailed, kFailed));
  }
  EXPECT_THAT(damaged(Table::kSaves, CheckpointKey("r", 1)), ElementsAre(kOk, kFailed, kOk));
  WriteRow(dir_, Table::kRuns, RunKey("r", RunRow::kMetricName) + "odd", "m");
  {
    const std::unique_ptr<IndexDb> index = Must(IndexDb::Open(dir_.options()));
    EXPECT_EQ(ReasonOf(ReadRunSnapshot(index->View(), "r")), kFailed);
  }
  WriteRow(dir_, Table::kRuns, RunKey("r", RunRow::kRun), kDamaged);
  EXPECT_EQ(ReasonOf(Catalog::Open(dir_.options())), kFailed);
}

}  // namespace
}  // namespace ckpt::storage
