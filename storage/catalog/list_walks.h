// Ways through the index on which the checkpoints of a page are found.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/catalog/filter.h"
#include "storage/catalog/index_db.h"
#include "storage/catalog/number_range.h"
#include "storage/catalog/order.h"
#include "storage/catalog/page_token.h"
#include "storage/catalog/query.h"
#include "storage/catalog/ranking.h"

namespace ckpt::storage {

// Keeps the page: of all matching checkpoints after `position` that were offered, the first ones.
// Filter, order and position must outlive it.
class PageCollector {
 public:
  PageCollector(const Filter& filter, const Order& order, std::string_view position, int page_size)
      : filter_(filter), order_(order), position_(position), max_rows_(PageRows(page_size)) {}

  // False once a checkpoint was left out for want of room: those ordered after it will be, too.
  bool Offer(std::string_view run, uint64_t id, v1::Checkpoint checkpoint);

  CheckpointPage Take(Question question);

 private:
  struct Entry {
    std::string key;
    v1::Checkpoint checkpoint;
    size_t bytes;
    bool operator<(const Entry& other) const { return key < other.key; }
  };

  void DropLast();

  const Filter& filter_;
  const Order& order_;
  const std::string_view position_;
  const size_t max_rows_;
  std::vector<Entry> entries_;  // a heap: the last of the page in front
  size_t bytes_ = 0;
  bool more_ = false;
};

// Meets every checkpoint of the list, from its position on, that the filter may accept.
class Walk {
 public:
  virtual ~Walk() = default;
  // Offers at most one checkpoint. False when the page has all that belongs on it.
  virtual absl::StatusOr<bool> Step(PageCollector& page) = 0;
};

// Through the checkpoints as they are stored, by run and id.
class RowWalk final : public Walk {
 public:
  enum class Direction { kForward, kBackward };
  struct Ids {
    uint64_t first = 0;
    uint64_t last = std::numeric_limits<uint64_t>::max();
  };

  // Forward through all runs from the key `start` on, if `in_order` that being the list's order.
  RowWalk(const ReadView& view, std::string_view start, bool in_order);
  // Through those `ids` of one run.
  RowWalk(const ReadView& view, std::string_view run, Ids ids, Direction direction, bool in_order);

  absl::StatusOr<bool> Step(PageCollector& page) override;

 private:
  Cursor cursor_;
  const Ids ids_;
  const Direction direction_;
  const bool in_order_;
};

// Through the checkpoints of one run by a metric: those with a number within `range`, and without
// a range all that have one, then by id what has none.
class MetricWalk final : public Walk {
 public:
  struct Path {
    std::string_view run;
    std::string_view metric;
    bool descending = false;
    std::optional<NumberRange> range;
    bool in_order = false;               // this is the list's order,
    std::optional<NumberSortKey> start;  // and where it goes on
  };

  MetricWalk(const ReadView& view, const Path& path);

  absl::StatusOr<bool> Step(PageCollector& page) override;

 private:
  void Seek();
  bool IsInRange(double value) const;
  absl::StatusOr<bool> StepRanked(PageCollector& page);
  absl::StatusOr<bool> StepRest(PageCollector& page);

  const ReadView& view_;
  const Path path_;
  RankingCursor ranked_;
  std::optional<Cursor> rest_;  // when the ranked ones are through
};

}  // namespace ckpt::storage
