#include "storage/history/recorded_events.h"

#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ckpt::storage {
namespace {

using ::testing::ElementsAre;

std::vector<uint64_t> Seqs(const RecordedEvents& events) {
  std::vector<uint64_t> seqs;
  for (const RecordedEvents::Row& row : events) seqs.push_back(row.event->seq());
  return seqs;
}

EventRow MakeRow(int rank, uint64_t seq) {
  EventRow row{.rank = rank, .record = {}};
  row.record.mutable_event()->set_seq(seq);
  row.record.mutable_decision()->set_seq(seq);
  return row;
}

TEST(RecordedEventsTest, ListsWhatWasAddedInOrder) {
  v1::Event event;
  event.set_seq(1);
  RecordedEvents events;
  EXPECT_TRUE(events.empty());
  events.Add(0, event);
  events.Add(MakeRow(3, 2));
  EXPECT_EQ(events.size(), 2U);
  EXPECT_THAT(Seqs(events), ElementsAre(1, 2));
  EXPECT_EQ(events.begin()->event, &event) << "not a copy";
  EXPECT_EQ(events.begin()->record, nullptr);
  const RecordedEvents::Row& whole = *(events.begin() + 1);
  EXPECT_EQ(whole.rank, 3);
  ASSERT_NE(whole.record, nullptr);
  EXPECT_EQ(whole.record->decision().seq(), 2U);
}

TEST(RecordedEventsTest, KeepsWhatItRefersToUntilTheLastCopyIsGone) {
  auto batch = std::make_shared<v1::EventBatch>();
  batch->add_events()->set_seq(7);
  const std::weak_ptr<v1::EventBatch> watched = batch;
  auto list = std::make_unique<RecordedEvents>();
  list->Keep(batch);
  list->Add(0, batch->events(0));
  batch.reset();
  RecordedEvents all;
  all.Add(MakeRow(0, 6));
  all.Append(*list);
  list.reset();
  ASSERT_FALSE(watched.expired());
  EXPECT_THAT(Seqs(all), ElementsAre(6, 7));
  all = RecordedEvents();
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace ckpt::storage
