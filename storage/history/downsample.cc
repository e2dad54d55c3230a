#include "storage/history/downsample.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace ckpt::storage {
namespace {

struct Spot {
  double x = 0;
  double y = 0;
};

Spot SpotOf(const Point& point) { return {static_cast<double>(point.seq), point.value}; }

// The middle of what is finite.
Spot MiddleOf(std::span<const Point> points) {
  Spot sum;
  double finite = 0;
  for (const Point& point : points) {
    if (!std::isfinite(point.value)) continue;
    sum.x += static_cast<double>(point.seq);
    sum.y += point.value;
    ++finite;
  }
  return finite == 0 ? SpotOf(points.front()) : Spot{sum.x / finite, sum.y / finite};
}

// Twice the area; below every other where it is none.
double AreaOf(Spot a, Spot b, Spot c) {
  const double area = std::abs((a.x - c.x) * (b.y - a.y) - (a.x - b.x) * (c.y - a.y));
  return std::isfinite(area) ? area : -1;
}

}  // namespace

Buckets::Buckets(uint64_t from, uint64_t to, size_t count)
    : from_(from), width_((to - from) / count + 1), groups_(count) {}

std::vector<Point> Buckets::Points() const {
  std::vector<Point> points;
  for (const Group& group : groups_) {
    if (group.count == 0) continue;
    std::array three = {group.smallest, group.largest, group.newest};
    std::sort(three.begin(), three.end(),
              [](const Point& a, const Point& b) { return a.seq < b.seq; });
    const auto* end = std::unique(three.begin(), three.end(),
                                  [](const Point& a, const Point& b) { return a.seq == b.seq; });
    points.insert(points.end(), three.begin(), three.begin() + (end - three.begin()));
  }
  return points;
}

std::vector<Point> LargestTriangles(std::span<const Point> points, size_t count) {
  if (points.size() <= count) return {points.begin(), points.end()};
  std::vector<Point> chosen = {points.front()};
  const size_t ranges = count - 2;
  const size_t inner = points.size() - 2;
  // Range i is [begin(i), begin(i + 1)); the last one is the last point alone.
  const auto begin = [&](size_t i) { return 1 + i * inner / std::max<size_t>(ranges, 1); };
  for (size_t i = 0; i < ranges; ++i) {
    const bool before_last = i + 1 == ranges;
    const size_t next = begin(i + 1);
    const size_t next_end = before_last ? points.size() : begin(i + 2);
    const Spot behind = MiddleOf(points.subspan(next, next_end - next));
    Spot ahead = SpotOf(chosen.back());
    if (!std::isfinite(ahead.y)) ahead.y = behind.y;
    const Point* best = &points[begin(i)];
    double largest = -1;
    for (const Point& point : points.subspan(begin(i), next - begin(i))) {
      const double area = AreaOf(ahead, SpotOf(point), behind);
      if (area > largest) {
        largest = area;
        best = &point;
      }
    }
    chosen.push_back(*best);
  }
  chosen.push_back(points.back());
  return chosen;
}

}  // namespace ckpt::storage
