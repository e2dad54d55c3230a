#include "storage/history/event_columns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "storage/history/column_block.h"

namespace ckpt::storage {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

v1::Event MakeEvent(uint64_t seq, v1::Event::Kind kind) {
  v1::Event event;
  event.set_seq(seq);
  event.set_kind(kind);
  event.set_epoch(static_cast<int64_t>(seq / 4));
  event.set_batch(static_cast<int64_t>(seq % 4));
  event.set_time_unix_nanos(1'700'000'000'000'000'000 + static_cast<int64_t>(seq * 1'234'567));
  return event;
}

// Events with metrics that come, go and change between whole numbers and others.
std::vector<v1::Event> MakeEvents(size_t count) {
  std::vector<v1::Event> events;
  for (uint64_t seq = 3; events.size() < count; seq += seq % 5 == 0 ? 2 : 1) {
    v1::Event event =
        MakeEvent(seq, seq % 4 == 0 ? v1::Event::KIND_EPOCH_END : v1::Event::KIND_BATCH_END);
    event.add_metric_ids(7);
    event.add_values(1.0 / static_cast<double>(seq));
    if (seq % 4 == 0) {
      event.add_metric_ids(9);
      event.add_values(std::numeric_limits<double>::quiet_NaN());
    }
    if (seq % 3 == 0) {
      event.add_integer_metric_ids(8);
      event.add_integers(std::numeric_limits<int64_t>::min() + static_cast<int64_t>(seq));
    } else {
      event.add_metric_ids(8);
      event.add_values(-0.0);
    }
    events.push_back(std::move(event));
  }
  return events;
}

EventColumns ColumnsOf(const std::vector<v1::Event>& events) {
  EventColumns columns;
  for (const v1::Event& event : events) columns.Add(NumbersOf(event));
  return columns;
}

// What is in the columns, in order of metric ids.
std::vector<std::string> TextOf(const EventColumns& columns) {
  std::vector<std::string> text;
  for (size_t i = 0; i < columns.size(); ++i) {
    v1::Event event = columns.Event(i);
    std::vector<std::pair<uint32_t, double>> values;
    for (int k = 0; k < event.metric_ids_size(); ++k) {
      values.emplace_back(event.metric_ids(k), event.values(k));
    }
    std::sort(values.begin(), values.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    event.clear_metric_ids();
    event.clear_values();
    for (const auto& [id, value] : values) {
      event.add_metric_ids(id);
      event.add_values(value);
    }
    text.push_back(event.ShortDebugString());
  }
  return text;
}

TEST(EventColumns, GiveBackTheEvents) {
  const auto events = MakeEvents(100);
  const EventColumns columns = ColumnsOf(events);
  ASSERT_EQ(columns.size(), events.size());
  EXPECT_THAT(columns.metrics, ElementsAre(7, 8, 9));
  EXPECT_EQ(columns.Event(0).ShortDebugString(), events[0].ShortDebugString());
  EXPECT_EQ(columns.Event(1).values_size(), events[1].values_size());
}

TEST(EventColumns, AreTakenApartAndPutTogether) {
  const EventColumns whole = ColumnsOf(MakeEvents(50));
  for (const size_t cut : {0, 1, 17, 49, 50}) {
    EventColumns columns;
    columns.Append(whole, 0, cut);
    columns.Append(whole, cut, 50);
    EXPECT_EQ(TextOf(columns), TextOf(whole)) << cut;
  }
  EventColumns middle;
  middle.Append(whole, 10, 20);
  const auto text = TextOf(whole);
  EXPECT_EQ(TextOf(middle), (std::vector<std::string>{text.begin() + 10, text.begin() + 20}));
}

// A run may have thousands of metrics, of which a segment has each but once.
TEST(EventColumns, ShareTheRoomAmongTheirMetrics) {
  constexpr uint32_t kMetrics = 4096;
  EventColumns columns;
  columns.Reserve(kSegmentEvents);
  size_t room = 0;
  for (uint32_t metric = 0; metric < kMetrics; ++metric) {
    const auto& column = columns.Column(metric);
    room += column.values.capacity();
    EXPECT_EQ(column.places.capacity(), column.values.capacity());
    EXPECT_GE(room, kSegmentEvents);
  }
  EXPECT_LT(room, 10 * kSegmentEvents);
}

TEST(EventColumns, HavePoints) {
  const EventColumns columns = ColumnsOf(MakeEvents(8));  // 3, 4, 5, 7, 8, 9, 10, 12
  const auto points = columns.Points(columns.columns[1]);
  ASSERT_THAT(points, SizeIs(8));
  for (size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(points[i].seq, static_cast<uint64_t>(columns.seqs[i]));
    const bool epoch_end = points[i].seq % 4 == 0;
    EXPECT_EQ(points[i].batch, epoch_end ? -1 : static_cast<int64_t>(points[i].seq % 4));
    EXPECT_EQ(points[i].value < 0, points[i].seq % 3 == 0);
    EXPECT_EQ(points[i].time_unix_nanos, columns.times[i]);
    EXPECT_EQ(points[i].epoch, columns.epochs[i]);
  }
}

TEST(EventColumns, AreKeptInBlocks) {
  const EventColumns columns = ColumnsOf(MakeEvents(300));
  const auto tail = DecodeEvents(EncodeEvents(columns, /*sealed=*/false));
  ASSERT_TRUE(tail.has_value());
  EXPECT_FALSE(tail->sealed);
  EXPECT_EQ(TextOf(tail->events), TextOf(columns));

  auto sealed = DecodeEvents(EncodeEvents(columns, /*sealed=*/true));
  ASSERT_TRUE(sealed.has_value());
  EXPECT_TRUE(sealed->sealed);
  for (size_t i = 0; i < columns.columns.size(); ++i) {
    const auto values = DecodeValues(EncodeValues(columns.columns[i]), columns.size());
    ASSERT_TRUE(values.has_value());
    sealed->events.columns[i] = *values;
    EXPECT_FALSE(DecodeValues(EncodeValues(columns.columns[i]), 1).has_value()) << "other events";
  }
  EXPECT_EQ(TextOf(sealed->events), TextOf(columns));
  EXPECT_TRUE(DecodeEvents(EncodeEvents(EventColumns(), false)).has_value());
}

TEST(EventColumns, RefuseWhatIsNoneOfThem) {
  const auto decodes = [](auto edit) {
    EventColumns columns = ColumnsOf(MakeEvents(3));
    edit(columns);
    return DecodeEvents(EncodeEvents(columns, /*sealed=*/false)).has_value();
  };
  EXPECT_TRUE(decodes([](EventColumns&) {}));
  EXPECT_FALSE(decodes([](EventColumns& c) { c.seqs[1] = c.seqs[0]; })) << "twice";
  EXPECT_FALSE(decodes([](EventColumns& c) { c.seqs[0] = 0; }));
  EXPECT_FALSE(decodes([](EventColumns& c) { c.kinds.pop_back(); }));
  EXPECT_FALSE(decodes([](EventColumns& c) { c.kinds[0] = -1; }));
  EXPECT_FALSE(decodes([](EventColumns& c) { c.kinds[0] = int64_t{1} << 40; }));
  EXPECT_FALSE(decodes([](EventColumns& c) { c.metrics[1] = c.metrics[0]; }));
  EXPECT_FALSE(decodes([](EventColumns& c) { c.columns[0].places[0] = 3; })) << "no such event";
  EXPECT_FALSE(decodes([](EventColumns& c) { c.columns[0].places[0] = -1; }));
  EXPECT_FALSE(decodes([](EventColumns& c) { c.columns[0].places[1] = 0; }));
  EXPECT_FALSE(decodes([](EventColumns& c) { c.columns[0].values.pop_back(); }));
  EXPECT_FALSE(decodes([](EventColumns& c) { c.columns[1].integers.pop_back(); }));
  EXPECT_FALSE(DecodeEvents("").has_value());
  BlockWriter writer;
  writer.AddNumber(2);
  EXPECT_FALSE(DecodeEvents(std::move(writer).Finish()).has_value());
}

// As if points had been added one by one, whatever is not a number, equal or a whole number.
TEST(EventColumns, AreSummarisedAsPointsAre) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  std::mt19937 random(11);
  for (const int count : {1, 2, 255, 256, 257, 1024}) {
    EventColumns columns;
    for (int seq = 1; seq <= count; ++seq) {
      const uint32_t metric = 1;
      const double value = random() % 3 == 0 ? kNan : static_cast<double>(random() % 5);
      const int64_t integer = static_cast<int64_t>(random() % 5);
      EventNumbers event = {.seq = static_cast<uint64_t>(seq), .epoch = seq / 7, .batch = seq};
      if (random() % 2 == 0) {
        event.metrics = {&metric, 1};
        event.values = {&value, 1};
      } else {
        event.integer_metrics = {&metric, 1};
        event.integers = {&integer, 1};
      }
      columns.Add(event);
    }
    const std::vector<Point> points = columns.Points(columns.columns[0]);
    std::vector<Group> expected;
    for (size_t i = 0; i < points.size(); ++i) {
      if (i % kGroupPoints == 0) expected.emplace_back();
      expected.back().Add(points[i]);
    }
    EXPECT_EQ(EncodeSummary(columns.Summary(columns.columns[0])), EncodeSummary(expected));
  }
}

TEST(EventColumns, AreSummarised) {
  const EventColumns columns = ColumnsOf(MakeEvents(600));
  const auto groups = columns.Summary(columns.columns[0]);
  ASSERT_THAT(groups, SizeIs(3));
  EXPECT_EQ(groups[0].count, 256);
  EXPECT_EQ(groups[2].count, 600 - 512);
  EXPECT_EQ(groups[1].largest.seq, static_cast<uint64_t>(columns.seqs[256]));
  EXPECT_EQ(groups[1].smallest.seq, static_cast<uint64_t>(columns.seqs[511]));
  EXPECT_EQ(groups[1].newest.seq, static_cast<uint64_t>(columns.seqs[511]));

  const auto decoded = DecodeSummary(EncodeSummary(groups));
  ASSERT_TRUE(decoded.has_value());
  ASSERT_EQ(decoded->size(), groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    EXPECT_EQ((*decoded)[i].count, groups[i].count);
    EXPECT_EQ((*decoded)[i].largest.value, groups[i].largest.value);
    EXPECT_EQ((*decoded)[i].largest.epoch, groups[i].largest.epoch);
    EXPECT_EQ((*decoded)[i].largest.batch, groups[i].largest.batch);
    EXPECT_EQ((*decoded)[i].newest.time_unix_nanos, groups[i].newest.time_unix_nanos);
  }
  EXPECT_FALSE(DecodeSummary("").has_value());
  auto none = groups;
  none[1].count = 0;
  EXPECT_FALSE(DecodeSummary(EncodeSummary(none)).has_value());
}

}  // namespace
}  // namespace ckpt::storage
