#include "server/rpc/event_batches.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace ckpt::server {
namespace {

class EventBatchesTest : public testing::Test {
 protected:
  const std::shared_ptr<EventBatches> batches_ = std::make_shared<EventBatches>();
};

TEST_F(EventBatchesTest, ABatchIsUsedAgain) {
  const v1::EventBatch* const first = batches_->Take(100).get();
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(batches_->Take(100).get(), first);
}

TEST_F(EventBatchesTest, ABatchBelongsToOneAtATime) {
  const auto one = batches_->Take(100);
  const auto other = batches_->Take(100);
  EXPECT_NE(one, other);
  EXPECT_NE(one.get(), batches_->Take(100).get());
}

TEST_F(EventBatchesTest, AtMostFourAreKept) {
  std::vector<std::shared_ptr<v1::EventBatch>> taken;
  const auto take = [&] { taken.push_back(batches_->Take(100)); };
  for (int i = 0; i < 6; ++i) take();
  for (const auto& batch : taken) batch->add_metrics();
  taken.clear();
  int used_again = 0;
  for (int i = 0; i < 6; ++i) {
    take();
    used_again += taken.back()->metrics_size();
  }
  EXPECT_EQ(used_again, 4);
}

TEST_F(EventBatchesTest, OneOfManyEventsIsNotKept) {
  auto batch = batches_->Take(100);
  batch->add_metrics();
  for (int i = 0; i < 257; ++i) batch->add_events();
  batch.reset();
  EXPECT_EQ(batches_->Take(100)->metrics_size(), 0);
}

TEST_F(EventBatchesTest, OneOfALargeMessageIsNotKept) {
  for (const auto& [bytes, kept] : {std::pair(64 << 10, 1), std::pair((64 << 10) + 1, 0)}) {
    batches_->Take(static_cast<size_t>(bytes))->add_metrics();
    const auto next = batches_->Take(100);
    EXPECT_EQ(next->metrics_size(), kept) << bytes;
    next->Clear();
  }
}

TEST_F(EventBatchesTest, OneThatHasGrownIsNotKeptForLong) {
  int kept = 0;
  for (; kept < 1000; ++kept) {
    const auto batch = batches_->Take(100);
    if (kept > 0 && batch->events_size() == 0) break;  // another one
    while (batch->events_size() < 2) batch->add_events();
    batch->mutable_events(0)->mutable_values()->Reserve(100'000);
  }
  EXPECT_EQ(kept, 64);
}

TEST_F(EventBatchesTest, OneThatHasGrownGoesWhereverItIsKept) {
  constexpr size_t kKept = 4;
  for (size_t grown = 0; grown < kKept; ++grown) {
    std::vector<std::shared_ptr<v1::EventBatch>> together(kKept);
    for (auto& batch : together) batch = batches_->Take(100);
    together[grown]->add_events()->mutable_values()->Reserve(100'000);
    for (auto& batch : together) batch.reset();
    for (size_t i = 0; i < kKept * 64; ++i) batches_->Take(100);
    for (auto& batch : together) batch = batches_->Take(100);
    for (const auto& batch : together) EXPECT_EQ(batch->events_size(), 0) << grown;
  }
}

TEST_F(EventBatchesTest, ABatchOutlivesThem) {
  auto batches = std::make_shared<EventBatches>();
  const auto batch = batches->Take(100);
  batches.reset();
  batch->add_events();
}

}  // namespace
}  // namespace ckpt::server
