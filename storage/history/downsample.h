// Fewer points that still show what many did. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "storage/history/point.h"

namespace ckpt::storage {

// The smallest, the largest and the newest point of each of equal ranges of sequence numbers, in
// memory that does not depend on how many points there are.
class Buckets {
 public:
  // `count` ranges, at least 1, from `from` to `to` inclusive; from <= to.
  Buckets(uint64_t from, uint64_t to, size_t count);

  // By sequence number of their newest points, within the range.
  void Add(const Group& group) { At(group.newest.seq).Add(group); }
  void Add(const Point& point) { At(point.seq).Add(point); }

  // Sequence numbers of one range.
  uint64_t width() const { return width_; }
  // At most three a range, each point once, by sequence number.
  std::vector<Point> Points() const;

 private:
  Group& At(uint64_t seq) { return groups_[static_cast<size_t>((seq - from_) / width_)]; }

  uint64_t from_;
  uint64_t width_;
  std::vector<Group> groups_;
};

// At most `count` of `points`, at least 2: the first, the last, and of each of the ranges between
// the one that spans the largest triangle with its neighbours (S. Steinarsson, Downsampling Time
// Series for Visual Representation, 2013), over sequence numbers. What is not finite is taken only
// where there is nothing else.
std::vector<Point> LargestTriangles(std::span<const Point> points, size_t count);

}  // namespace ckpt::storage
