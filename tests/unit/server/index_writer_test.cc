#include "server/run/index_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/store_fixture.h"

namespace ckpt::server {
namespace {

using ::testing::ElementsAre;

class IndexWriterTest : public storage::StoreFixture {
 protected:
  void SetUp() override {
    Open();
    writer_ = std::make_unique<IndexWriter>(*store_, executors_, metrics_);
  }
  void TearDown() override { executors_.Stop(); }

  // An update of a run, whose row it writes if `create`.
  static storage::RunUpdate Update(const std::string& run, bool create) {
    storage::RunUpdate update;
    update.run = run;
    if (create) update.run_row.emplace().set_name("runs/" + run);
    update.progress.emplace().set_epoch(1);
    return update;
  }
  // Submits them so that they are in one batch, and waits for their results.
  std::vector<absl::Status> WriteInOneBatch(std::vector<storage::RunUpdate> updates) {
    std::promise<void> submitted;
    executors_.PostDisk([&] { submitted.get_future().wait(); });
    std::vector<std::promise<absl::Status>> results(updates.size());
    for (size_t i = 0; i < updates.size(); ++i) {
      std::shared_ptr<IndexLane>& lane = lanes_[updates[i].run];
      if (lane == nullptr) lane = std::make_shared<IndexLane>();
      writer_->Submit(lane, std::move(updates[i]),
                      [&result = results[i]](const absl::StatusOr<storage::ApplyResult>& applied) {
                        result.set_value(applied.status());
                      });
    }
    submitted.set_value();
    std::vector<absl::Status> statuses;
    for (auto& result : results) statuses.push_back(result.get_future().get());
    return statuses;
  }

  Metrics metrics_;
  Executors executors_{1};
  std::map<std::string, std::shared_ptr<IndexLane>> lanes_;  // by run
  std::unique_ptr<IndexWriter> writer_;
};

// `gone` has no row, so that its update is refused.
TEST_F(IndexWriterTest, WhatIsRefusedForOneRunGoesThroughForTheOthers) {
  const auto statuses =
      WriteInOneBatch({Update("a", true), Update("gone", false), Update("b", true),
                       Update("a", false), Update("gone", false)});
  EXPECT_OK(statuses[0]);
  EXPECT_THAT(statuses[1], HasReason("RUN_NOT_FOUND"));
  EXPECT_OK(statuses[2]);
  EXPECT_OK(statuses[3]) << "after its run's first, which makes the row";
  EXPECT_THAT(statuses[4], HasReason("RUN_NOT_FOUND"));
  for (const char* run : {"a", "b"}) EXPECT_OK(store_->LoadRun(run)) << run;
  EXPECT_THAT(store_->LoadRun("gone"), HasReason("RUN_NOT_FOUND"));
}

TEST_F(IndexWriterTest, EventsOfOneRunGoTogetherAndEachIsTold) {
  std::vector<storage::RunUpdate> updates = {Update("a", true), Update("b", true)};
  for (uint64_t seq = 1; seq <= 3; ++seq) {
    for (const char* run : {"a", "b"}) {
      storage::RunUpdate& update = updates.emplace_back(Update(run, false));
      update.new_metrics.emplace_back().set_id(static_cast<uint32_t>(seq));
      update.new_metrics.back().set_name("metric " + std::to_string(seq));
      update.progress->add_durable_seqs(seq);
      storage::EventRow row;
      row.record.mutable_event()->set_seq(seq);
      row.record.mutable_event()->set_kind(v1::Event::KIND_BATCH_END);
      update.events.Add(std::move(row));
    }
  }
  // What is not events alone stays an update of its own.
  storage::RunUpdate& last = updates.emplace_back(Update("a", true));
  last.progress->add_durable_seqs(3);
  for (const absl::Status& status : WriteInOneBatch(std::move(updates))) EXPECT_OK(status);
  for (const char* run : {"a", "b"}) {
    const auto snapshot = store_->LoadRun(run);
    ASSERT_OK(snapshot);
    EXPECT_THAT(snapshot->progress.durable_seqs(), testing::ElementsAre(3));
    EXPECT_EQ(snapshot->metrics.size(), 3U);
    const auto events = store_->ListEvents(run, 0, 10, "");
    ASSERT_OK(events);
    EXPECT_EQ(events->events.size(), 3U);
  }
}

// Found by the sweep over file calls: one write of events found the disk full, the next one found
// room, and was recorded without those before it.
TEST_F(IndexWriterTest, WhatBuildsOnAFailedUpdateIsNotWritten) {
  EXPECT_THAT(WriteInOneBatch({Update("new", false)}), ElementsAre(HasReason("RUN_NOT_FOUND")));
  const auto failed = std::exchange(lanes_["new"], nullptr);
  EXPECT_THAT(WriteInOneBatch({Update("new", true)}), ElementsAre(IsOk())) << "by another actor";
  const auto others = std::exchange(lanes_["new"], failed);
  EXPECT_THAT(WriteInOneBatch({Update("new", false)}), ElementsAre(HasReason("RUN_NOT_FOUND")));
  lanes_["new"] = others;
  EXPECT_THAT(WriteInOneBatch({Update("new", false)}), ElementsAre(IsOk()));
}

TEST_F(IndexWriterTest, WhatNobodyWaitsForIsWrittenWithWhatIsAwaited) {
  const auto lane = std::make_shared<IndexLane>();
  std::vector<int> order;
  std::promise<void> written;
  writer_->SubmitLater(lane, Update("a", true), [&](const auto& applied) {
    EXPECT_OK(applied);
    order.push_back(1);
  });
  writer_->Submit(lane, Update("a", false), [&](const auto& applied) {
    EXPECT_OK(applied);
    order.push_back(2);
    written.set_value();
  });
  written.get_future().wait();
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST_F(IndexWriterTest, WhatNobodyWaitsForIsWrittenAfterAWhile) {
  const auto lane = std::make_shared<IndexLane>();
  for (const bool create : {true, false, false}) {
    std::promise<absl::Status> written;
    writer_->SubmitLater(lane, Update("a", create),
                         [&](const auto& applied) { written.set_value(applied.status()); });
    EXPECT_OK(written.get_future().get());
  }
}

TEST_F(IndexWriterTest, AtTheEndNothingWaits) {
  int written = 0;
  const auto done = [&](const auto& applied) {
    EXPECT_OK(applied);
    ++written;
  };
  const auto lane = std::make_shared<IndexLane>();
  writer_->SubmitLater(lane, Update("a", true), done);
  writer_->Hurry();
  writer_->SubmitLater(lane, Update("a", false), done);
  executors_.Stop();  // no timer comes any more
  EXPECT_EQ(written, 2);
}

TEST_F(IndexWriterTest, WhatIsWantedSoonIsWrittenAtOnce) {
  writer_->WriteSoon();  // of nothing
  std::atomic<int> written = 0;
  writer_->SubmitLater(
      std::make_shared<IndexLane>(), Update("a", true),
      [&](const absl::StatusOr<storage::ApplyResult>& result) { written += result.ok() ? 1 : 0; });
  writer_->WriteSoon();
  executors_.Stop();  // no timer comes any more
  EXPECT_EQ(written, 1);
}

}  // namespace
}  // namespace ckpt::server
