// A metric's value at an event, and a few of them taken together.
#pragma once

#include <cmath>
#include <cstdint>

namespace ckpt::storage {

struct Point {
  uint64_t seq = 0;
  int64_t epoch = 0;
  int64_t batch = 0;  // -1: the end of an epoch
  int64_t time_unix_nanos = 0;
  double value = 0;
};

// Whether `value` takes the place of the smallest (largest) value before it. NaN is neither, unless
// there is nothing else; of equals the first counts.
inline bool IsSmaller(double value, double smallest) {
  return value < smallest || std::isnan(smallest);
}
inline bool IsLarger(double value, double largest) {
  return value > largest || std::isnan(largest);
}

// Consecutive points in brief.
struct Group {
  int64_t count = 0;
  Point smallest;
  Point largest;
  Point newest;

  void Add(const Point& point) { Add(point, point, point, 1); }
  // `later` comes after all that is here.
  void Add(const Group& later) { Add(later.smallest, later.largest, later.newest, later.count); }

 private:
  void Add(const Point& low, const Point& high, const Point& last, int64_t points) {
    if (count == 0 || IsSmaller(low.value, smallest.value)) smallest = low;
    if (count == 0 || IsLarger(high.value, largest.value)) largest = high;
    newest = last;
    count += points;
  }
};

}  // namespace ckpt::storage
