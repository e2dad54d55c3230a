#include "storage/history/series.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "catalog_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/catalog/key_encoding.h"
#include "storage/history/history_writer.h"

namespace ckpt::storage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Method = SeriesQuery::Method;

constexpr uint32_t kLoss = 1;      // at every event
constexpr uint32_t kValLoss = 2;   // at every 100th
constexpr uint32_t kUnknown = 77;  // at none

class SeriesTest : public ::testing::Test {
 protected:
  void SetUp() override { index_ = Must(IndexDb::Open(dir_.options())); }

  EventRow NextEvent() {
    EventRow row;
    v1::Event& event = *row.record.mutable_event();
    const uint64_t seq = ++seq_;
    event.set_seq(seq);
    event.set_kind(seq % 100 == 0 ? v1::Event::KIND_EPOCH_END : v1::Event::KIND_BATCH_END);
    event.set_epoch(static_cast<int64_t>(seq / 100));
    event.set_batch(static_cast<int64_t>(seq % 100));
    const double value =
        std::sin(static_cast<double>(seq) / 300) + static_cast<double>(random_() % 97);
    event.add_metric_ids(kLoss);
    event.add_values(value);
    points_[kLoss].push_back({.seq = seq, .value = value});
    if (seq % 100 == 0) {
      event.add_metric_ids(kValLoss);
      event.add_values(-value);
      points_[kValLoss].push_back({.seq = seq, .value = -value});
    }
    return row;
  }
  void AppendRows(int count) {
    Batch batch = index_->NewBatch();
    for (int i = 0; i < count; ++i) {
      const EventRow row = NextEvent();
      batch.Put(Table::kEvents, EventKey("r", 0, seq_), row.record.SerializeAsString());
    }
    Must(index_->Write(std::move(batch)));
  }
  void Append(int count) {
    std::vector<EventRow> rows;
    for (int i = 0; i < count; ++i) rows.push_back(NextEvent());
    const RecordedEvents list = Recorded(rows);
    HistoryWriter writer;
    writer.Add("r", list);
    Batch batch = index_->NewBatch();
    Must(writer.Write(index_->View(), batch));
    Must(index_->Write(std::move(batch)));
  }
  // Rows of the first ckptd, sealed segments and a tail of several blocks.
  void AppendEverywhere() {
    AppendRows(150);
    Append(3000);
    for (int i = 0; i < 60; ++i) Append(20);
  }

  Series Find(Method method, size_t points, uint64_t from = 0, uint64_t to = 0,
              uint32_t metric = kLoss) {
    const SeriesQuery query = {
        .run = "r", .points = points, .from_seq = from, .to_seq = to, .method = method};
    return Must(FindSeries(index_->View(), query, metric));
  }
  // Those of the metric's points in a range, as they were appended.
  std::vector<Point> Expected(uint64_t from, uint64_t to, uint32_t metric) {
    std::vector<Point> expected;
    for (const Point& point : points_[metric]) {
      if (point.seq >= from && (to == 0 || point.seq <= to)) expected.push_back(point);
    }
    return expected;
  }
  static void ExpectSame(const std::vector<Point>& points, const std::vector<Point>& expected) {
    ASSERT_EQ(points.size(), expected.size());
    for (size_t i = 0; i < points.size(); ++i) {
      ASSERT_EQ(points[i].seq, expected[i].seq);
      ASSERT_EQ(points[i].value, expected[i].value);
    }
  }

  TempDir dir_;
  std::unique_ptr<IndexDb> index_;
  uint64_t seq_ = 0;
  std::map<uint32_t, std::vector<Point>> points_;
  std::mt19937_64 random_{5};  // NOLINT(cert-msc51-cpp): the same in every run
};

TEST_F(SeriesTest, OfNothingThereIsNothing) {
  for (const Method method : {Method::kNewest, Method::kExtremes, Method::kShape}) {
    EXPECT_THAT(Find(method, 10).points, IsEmpty());
  }
  AppendEverywhere();
  for (const Method method : {Method::kNewest, Method::kExtremes, Method::kShape}) {
    EXPECT_THAT(Find(method, 10, 0, 0, kUnknown).points, IsEmpty());
    EXPECT_THAT(Find(method, 10, seq_ + 1).points, IsEmpty());
    EXPECT_THAT(Find(method, 10, 9, 8).points, IsEmpty());
  }
}

TEST_F(SeriesTest, EveryPointIsFoundWhereverItIsKept) {
  AppendEverywhere();
  const std::vector<std::pair<uint64_t, uint64_t>> ranges = {
      {0, 0},       {1, 1},       {100, 150},   {150, 151}, {151, 1174},  {151, 1175},
      {1175, 2198}, {1000, 4000}, {3100, 3300}, {seq_, 0},  {2, seq_ - 1}};
  for (const auto& [from, to] : ranges) {
    for (const uint32_t metric : {kLoss, kValLoss}) {
      SCOPED_TRACE(testing::Message() << from << " to " << to << " of " << metric);
      const auto expected = Expected(from, to, metric);
      for (const Method method : {Method::kNewest, Method::kExtremes, Method::kShape}) {
        const Series series = Find(method, 20'000, from, to, metric);
        ExpectSame(series.points, expected);
        if (method != Method::kNewest) {
          EXPECT_EQ(series.total, static_cast<int64_t>(expected.size()));
        }
      }
    }
  }
  const Point end = Find(Method::kNewest, 1, 0, 200).points.at(0);
  EXPECT_EQ(end.epoch, 2);
  EXPECT_EQ(end.batch, -1);
}

TEST_F(SeriesTest, TheNewestAreTheNewest) {
  AppendEverywhere();
  for (const size_t count : {1, 5, 100, 500, 1000, 1500, 4200, 4340}) {
    for (const uint64_t to :
         {uint64_t{0}, seq_ - 1, uint64_t{3100}, uint64_t{1000}, uint64_t{140}}) {
      SCOPED_TRACE(testing::Message() << count << " to " << to);
      auto expected = Expected(0, to, kLoss);
      if (expected.size() > count)
        expected.erase(expected.begin(), expected.end() - static_cast<std::ptrdiff_t>(count));
      ExpectSame(Find(Method::kNewest, count, 0, to).points, expected);
    }
  }
}

TEST_F(SeriesTest, ExtremesAreKept) {
  AppendEverywhere();
  for (const auto& [from, to] : {std::pair<uint64_t, uint64_t>{1, seq_}, {500, 4000}}) {
    // In wide ranges out of summaries, in narrow ones out of all points.
    for (const size_t points : {6, 30, 300}) {
      SCOPED_TRACE(testing::Message() << points << " of " << from << " to " << to);
      const Series series = Find(Method::kExtremes, points, from, to);
      EXPECT_LE(series.points.size(), points);
      EXPECT_EQ(series.total, static_cast<int64_t>(to - from + 1));
      const auto by_value = [](const Point& a, const Point& b) { return a.value < b.value; };
      const auto expected = Expected(from, to, kLoss);
      const auto [least, most] = std::minmax_element(expected.begin(), expected.end(), by_value);
      const auto [found_least, found_most] =
          std::minmax_element(series.points.begin(), series.points.end(), by_value);
      EXPECT_EQ(found_least->value, least->value);
      EXPECT_EQ(found_most->value, most->value);
      EXPECT_EQ(series.points.back().seq, to);
      EXPECT_TRUE(std::is_sorted(series.points.begin(), series.points.end(),
                                 [](const Point& a, const Point& b) { return a.seq < b.seq; }));
      EXPECT_LE(Find(Method::kShape, points, from, to).points.size(), points);
    }
  }
}

TEST_F(SeriesTest, ReportsDamage) {
  AppendEverywhere();
  const auto damage = [&](std::string key, uint64_t seq) {
    AppendU64(key, seq);
    Batch batch = index_->NewBatch();
    batch.Put(Table::kHistory, key, kDamaged);
    Must(index_->Write(std::move(batch)));
  };
  const auto read = [&](Method method, size_t points, uint64_t from, uint64_t to) {
    const SeriesQuery query = {
        .run = "r", .points = points, .from_seq = from, .to_seq = to, .method = method};
    return ReasonOf(FindSeries(index_->View(), query, kLoss));
  };
  damage(SeriesPrefix("r", HistoryRow::kSummary, 0, kLoss), 151);
  EXPECT_EQ(read(Method::kExtremes, 6, 0, 0), v1::ERROR_REASON_INDEX_DAMAGED);
  EXPECT_EQ(read(Method::kExtremes, 9999, 0, 0), v1::ERROR_REASON_UNSPECIFIED);
  damage(SeriesPrefix("r", HistoryRow::kValues, 0, kLoss), 151);
  EXPECT_EQ(read(Method::kExtremes, 9999, 0, 0), v1::ERROR_REASON_INDEX_DAMAGED);
  EXPECT_EQ(read(Method::kNewest, 5, 0, 400), v1::ERROR_REASON_INDEX_DAMAGED);
  EXPECT_EQ(read(Method::kNewest, 5, 0, 0), v1::ERROR_REASON_UNSPECIFIED);
}

}  // namespace
}  // namespace ckpt::storage
