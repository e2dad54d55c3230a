#include "server/run/index_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/store_fixture.h"

namespace ckpt::server {
namespace {

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
      writer_->Submit(std::move(updates[i]),
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

}  // namespace
}  // namespace ckpt::server
