#include "storage/history/downsample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace ckpt::storage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Points with sequence numbers 1, 2, 3 …
std::vector<Point> MakePoints(const std::vector<double>& values) {
  std::vector<Point> points;
  for (const double value : values) points.push_back({.seq = points.size() + 1, .value = value});
  return points;
}

std::vector<uint64_t> SeqsOf(const std::vector<Point>& points) {
  std::vector<uint64_t> seqs;
  for (const Point& point : points) seqs.push_back(point.seq);
  return seqs;
}

std::vector<uint64_t> Bucketed(const std::vector<double>& values, size_t count) {
  Buckets buckets(1, values.size(), count);
  for (const Point& point : MakePoints(values)) buckets.Add(point);
  return SeqsOf(buckets.Points());
}

TEST(Buckets, KeepTheSmallestTheLargestAndTheNewest) {
  EXPECT_THAT(Bucketed({5, 1, 9, 4, 7, 7, 7, 2}, 2), ElementsAre(2, 3, 4, 5, 8));
  EXPECT_THAT(Bucketed({5, 1, 9, 4}, 1), ElementsAre(2, 3, 4));
  EXPECT_THAT(Bucketed({3, 3, 3}, 1), ElementsAre(1, 3));
  EXPECT_THAT(Bucketed({1, 2, 3}, 100), ElementsAre(1, 2, 3));
  EXPECT_THAT(Bucketed({kNaN, 1, -kInfinity, kNaN}, 1), ElementsAre(2, 3, 4));
  EXPECT_THAT(Bucketed({kNaN, kNaN, 2}, 1), ElementsAre(3));
  EXPECT_THAT(Bucketed({kNaN, kNaN}, 1), ElementsAre(2));
  EXPECT_THAT(Buckets(1, 10, 3).Points(), IsEmpty());
}

TEST(Buckets, AreOfEqualWidthAndCoverTheRange) {
  for (const auto& [from, to, count] :
       {std::tuple{1, 10, 3}, {1, 9, 3}, {5, 5, 1}, {5, 5, 10}, {1, 1000, 7}}) {
    Buckets buckets(from, to, count);
    EXPECT_GE(buckets.width() * count, static_cast<uint64_t>(to - from + 1));
    for (int seq = from; seq <= to; ++seq) buckets.Add(Point{.seq = static_cast<uint64_t>(seq)});
    EXPECT_EQ(buckets.Points().back().seq, static_cast<uint64_t>(to));
  }
}

TEST(Buckets, TakeGroupsAsTheirPoints) {
  const auto points = MakePoints({5, 1, 9, 4, kNaN, 7, 7, 2});
  Buckets single(1, 8, 2);
  Buckets grouped(1, 8, 2);
  for (size_t i = 0; i < points.size(); i += 2) {
    Group group;
    group.Add(points[i]);
    group.Add(points[i + 1]);
    EXPECT_EQ(group.count, 2);
    grouped.Add(group);
    single.Add(points[i]);
    single.Add(points[i + 1]);
  }
  EXPECT_EQ(SeqsOf(grouped.Points()), SeqsOf(single.Points()));
}

TEST(LargestTriangles, KeepEndsAndSpikes) {
  std::vector<double> values(1000, 1.0);
  values[400] = 9;
  values[700] = -9;
  const auto seqs = SeqsOf(LargestTriangles(MakePoints(values), 20));
  EXPECT_EQ(seqs.size(), 20U);
  EXPECT_EQ(seqs.front(), 1U);
  EXPECT_EQ(seqs.back(), 1000U);
  EXPECT_TRUE(std::is_sorted(seqs.begin(), seqs.end()));
  EXPECT_EQ(std::count(seqs.begin(), seqs.end(), 401U), 1);
  EXPECT_EQ(std::count(seqs.begin(), seqs.end(), 701U), 1);
}

TEST(LargestTriangles, AreAsManyAsWanted) {
  std::vector<double> values;
  for (int i = 0; i < 100; ++i) values.push_back(std::sin(i));
  for (const size_t count : {2, 3, 4, 50, 98, 99, 100, 101}) {
    const auto seqs = SeqsOf(LargestTriangles(MakePoints(values), count));
    EXPECT_EQ(seqs.size(), std::min<size_t>(count, 100)) << count;
    EXPECT_EQ(std::adjacent_find(seqs.begin(), seqs.end(), std::greater_equal<>()), seqs.end());
  }
  EXPECT_THAT(LargestTriangles({}, 2), IsEmpty());
}

TEST(LargestTriangles, PreferWhatIsFinite) {
  const auto points = MakePoints({kNaN, kNaN, 2, kInfinity, 3, kNaN, kNaN, kNaN, 1});
  EXPECT_THAT(SeqsOf(LargestTriangles(points, 4)), ElementsAre(1, 3, 5, 9));
}

}  // namespace
}  // namespace ckpt::storage
