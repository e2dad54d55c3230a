#include "storage/history/recorded_events.h"

#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ckpt::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

// Ranks and sequence numbers, in order.
std::vector<std::pair<int, uint64_t>> Listed(const RecordedEvents& events) {
  std::vector<std::pair<int, uint64_t>> listed;
  for (const RecordedEvents::Part& part : events.parts()) {
    for (size_t i = 0; i < part.events.size(); ++i) {
      listed.emplace_back(part.rank, part.events[i].seq);
    }
  }
  return listed;
}

std::vector<uint64_t> Whole(const RecordedEvents& events) {
  std::vector<uint64_t> seqs;
  for (const EventRow& row : events.whole()) seqs.push_back(row.record.event().seq());
  return seqs;
}

v1::Event MakeEvent(uint64_t seq) {
  v1::Event event;
  event.set_seq(seq);
  return event;
}

EventRow MakeRow(int rank, uint64_t seq) {
  EventRow row{.rank = rank, .record = {}};
  *row.record.mutable_event() = MakeEvent(seq);
  return row;
}

EventRow WithDecision(EventRow row) {
  row.record.mutable_decision()->set_seq(row.record.event().seq());
  return row;
}

EventRow WithStage(EventRow row) {
  row.record.mutable_event()->set_staged_upload("s");
  return row;
}

TEST(RecordedEventsTest, ListsWhatWasAddedInOrder) {
  RecordedEvents events;
  EXPECT_TRUE(events.empty());
  events.Reserve(0, 2, 0);
  EXPECT_TRUE(events.empty());
  events.Add(0, MakeEvent(1));
  events.Add(0, MakeEvent(2));
  events.Add(3, MakeEvent(1));
  events.Add(0, MakeEvent(3));
  EXPECT_EQ(events.size(), 4U);
  EXPECT_THAT(Listed(events), ElementsAre(Pair(0, 1), Pair(0, 2), Pair(3, 1), Pair(0, 3)));
}

TEST(RecordedEventsTest, KeepsWholeWhatHasMoreToSay) {
  RecordedEvents events;
  events.Add(MakeRow(0, 1));
  events.Add(WithDecision(MakeRow(0, 2)));
  events.Add(WithStage(MakeRow(0, 3)));
  EXPECT_THAT(Listed(events), ElementsAre(Pair(0, 1), Pair(0, 2), Pair(0, 3)));
  EXPECT_THAT(Whole(events), ElementsAre(2, 3));
  EXPECT_EQ(events.whole()[0].record.decision().seq(), 2U);
}

TEST(RecordedEventsTest, PutsLaterOnesBehind) {
  RecordedEvents events;
  events.Add(0, MakeEvent(1));
  RecordedEvents later;
  later.Add(0, MakeEvent(2));
  later.Add(WithDecision(MakeRow(1, 1)));
  events.Append(later);
  events.Append(RecordedEvents());
  EXPECT_EQ(events.size(), 3U);
  EXPECT_THAT(Listed(events), ElementsAre(Pair(0, 1), Pair(0, 2), Pair(1, 1)));
  EXPECT_THAT(Whole(events), ElementsAre(1));
  EXPECT_THAT(Listed(later), ElementsAre(Pair(0, 2), Pair(1, 1))) << "a copy was moved";
  EXPECT_THAT(Whole(RecordedEvents()), IsEmpty());
}

TEST(RecordedEventsTest, PutsListsOfEveryLengthBehind) {
  RecordedEvents events;
  std::vector<std::pair<int, uint64_t>> expected;
  uint64_t seq = 0;
  for (const int length : {1, 2, 100, 3, 16, 17, 1}) {
    RecordedEvents later;
    for (int i = 0; i < length; ++i) {
      later.Add(0, MakeEvent(++seq));
      expected.emplace_back(0, seq);
    }
    events.Append(std::move(later));
  }
  EXPECT_EQ(events.size(), seq);
  EXPECT_EQ(Listed(events), expected);
}

}  // namespace
}  // namespace ckpt::storage
