#include "storage/history/packed_events.h"

#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ckpt::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

v1::Event MakeEvent(uint64_t seq, v1::Event::Kind kind, const std::vector<double>& values,
                    const std::vector<int64_t>& integers) {
  v1::Event event;
  event.set_seq(seq);
  event.set_kind(kind);
  event.set_epoch(static_cast<int64_t>(seq) * 2);
  event.set_batch(static_cast<int64_t>(seq) * 3);
  event.set_time_unix_nanos(static_cast<int64_t>(seq) * -5);
  for (const double value : values) {
    event.add_metric_ids(static_cast<uint32_t>(100 * seq) + event.values_size());
    event.add_values(value);
  }
  for (const int64_t integer : integers) {
    event.add_integer_metric_ids(static_cast<uint32_t>(1000 * seq) + event.integers_size());
    event.add_integers(integer);
  }
  return event;
}

std::vector<v1::Event> EventsOfAllSorts() {
  constexpr int64_t kLarge = std::numeric_limits<int64_t>::max();
  return {MakeEvent(1, v1::Event::KIND_TRAIN_BEGIN, {}, {}),
          MakeEvent(2, v1::Event::KIND_BATCH_END, {0.5, -1e300}, {}),
          MakeEvent(3, v1::Event::KIND_EPOCH_END, {}, {7, kLarge, -kLarge}),
          MakeEvent(9, v1::Event::KIND_EPOCH_END, {2.5}, {-1}),
          MakeEvent(10, v1::Event::KIND_TRAIN_END, {}, {})};
}

void ExpectSame(const EventNumbers& numbers, const v1::Event& event) {
  EXPECT_EQ(numbers.seq, event.seq());
  EXPECT_EQ(numbers.kind, event.kind());
  EXPECT_EQ(numbers.epoch, event.epoch());
  EXPECT_EQ(numbers.batch, event.batch());
  EXPECT_EQ(numbers.time_unix_nanos, event.time_unix_nanos());
  EXPECT_THAT(numbers.metrics, ElementsAreArray(event.metric_ids()));
  EXPECT_THAT(numbers.values, ElementsAreArray(event.values()));
  EXPECT_THAT(numbers.integer_metrics, ElementsAreArray(event.integer_metric_ids()));
  EXPECT_THAT(numbers.integers, ElementsAreArray(event.integers()));
}

TEST(PackedEventsTest, NumbersAreThoseOfTheEvent) {
  for (const v1::Event& event : EventsOfAllSorts()) ExpectSame(NumbersOf(event), event);
}

TEST(PackedEventsTest, HoldCopiesOfTheEvents) {
  PackedEvents packed;
  EXPECT_TRUE(packed.empty());
  const std::vector<v1::Event> events = EventsOfAllSorts();
  for (const v1::Event& event : EventsOfAllSorts()) packed.Add(NumbersOf(event));
  EXPECT_FALSE(packed.empty());
  ASSERT_EQ(packed.size(), events.size());
  for (size_t i = 0; i < events.size(); ++i) {
    SCOPED_TRACE(i);
    ExpectSame(packed[i], events[i]);
  }
  const PackedEvents copy = packed;
  for (const v1::Event& event : events) packed.Add(NumbersOf(event));
  ExpectSame(packed[events.size()], events[0]);
  ExpectSame(copy[events.size() - 1], events.back());
}

TEST(PackedEventsTest, TakeWhatThereWasRoomForAndMore) {
  PackedEvents packed;
  packed.Reserve(1, 1);
  EXPECT_TRUE(packed.empty());
  const v1::Event event = MakeEvent(4, v1::Event::KIND_BATCH_END, {1, 2, 3}, {});
  packed.Add(NumbersOf(event));
  packed.Reserve(3, 9);
  packed.Add(NumbersOf(event));
  EXPECT_EQ(packed.size(), 2U);
  EXPECT_THAT(packed[0].values, ElementsAre(1, 2, 3));
  EXPECT_THAT(packed[1].values, ElementsAre(1, 2, 3));
  EXPECT_THAT(packed[1].integers, IsEmpty());
}

}  // namespace
}  // namespace ckpt::storage
