#include "storage/catalog/list_walks.h"

#include <algorithm>
#include <utility>

#include "storage/base/errors.h"
#include "storage/catalog/key_encoding.h"
#include "storage/catalog/rows.h"

namespace ckpt::storage {
namespace {

struct DecodedRow {
  std::string_view run;  // points into the cursor
  uint64_t id;
  v1::Checkpoint checkpoint;
};

absl::StatusOr<DecodedRow> Decode(const Cursor& cursor) {
  const auto parts = SplitRunKey(cursor.key());
  if (!parts.has_value() || parts->rest.size() != kU64Bytes) {
    return DamagedRow(Table::kCheckpoints, cursor.key());
  }
  auto checkpoint = ParseRow<v1::Checkpoint>(Table::kCheckpoints, cursor.key(), cursor.value());
  if (!checkpoint.ok()) return checkpoint.status();
  return DecodedRow{parts->run, DecodeU64(parts->rest), *std::move(checkpoint)};
}

// False, or why the cursor did not get to the end.
absl::StatusOr<bool> EndOf(const absl::Status& status) {
  if (!status.ok()) return status;
  return false;
}

}  // namespace

bool PageCollector::Offer(std::string_view run, uint64_t id, v1::Checkpoint checkpoint) {
  const CheckpointRow row{run, id, checkpoint};
  if (!Matches(filter_, row)) return !more_;
  std::string key = SortKey(order_, row);
  if (key <= position_) return !more_;
  if (more_ && entries_.front().key < key) return false;
  checkpoint.clear_policy_states();
  const size_t bytes = checkpoint.ByteSizeLong();
  entries_.push_back({std::move(key), std::move(checkpoint), bytes});
  std::push_heap(entries_.begin(), entries_.end());
  bytes_ += bytes;
  while (entries_.size() > max_rows_ || (bytes_ > kMaxPageBytes && entries_.size() > 1)) {
    DropLast();
  }
  return !more_;
}

CheckpointPage PageCollector::Take(Question question) {
  std::sort_heap(entries_.begin(), entries_.end());
  CheckpointPage page;
  if (more_) page.next_page_token = MakePageToken(question, entries_.back().key);
  for (Entry& entry : entries_) page.checkpoints.push_back(std::move(entry.checkpoint));
  return page;
}

void PageCollector::DropLast() {
  std::pop_heap(entries_.begin(), entries_.end());
  bytes_ -= entries_.back().bytes;
  entries_.pop_back();
  more_ = true;
}

RowWalk::RowWalk(const ReadView& view, std::string_view start, bool in_order)
    : cursor_(view.Scan(Table::kCheckpoints, "")),
      ids_(),
      direction_(Direction::kForward),
      in_order_(in_order) {
  cursor_.Seek(start);
}

RowWalk::RowWalk(const ReadView& view, std::string_view run, Ids ids, Direction direction,
                 bool in_order)
    : cursor_(view.Scan(Table::kCheckpoints, RunPrefix(run))),
      ids_(ids),
      direction_(direction),
      in_order_(in_order) {
  if (direction == Direction::kForward) {
    cursor_.Seek(CheckpointKey(run, ids.first));
  } else {
    cursor_.SeekForPrev(CheckpointKey(run, ids.last));
  }
}

absl::StatusOr<bool> RowWalk::Step(PageCollector& page) {
  if (!cursor_.Valid()) return EndOf(cursor_.status());
  absl::StatusOr<DecodedRow> row = Decode(cursor_);
  if (!row.ok()) return row.status();
  if (row->id < ids_.first || row->id > ids_.last) return false;
  const bool has_room = page.Offer(row->run, row->id, std::move(row->checkpoint));
  direction_ == Direction::kForward ? cursor_.Next() : cursor_.Prev();
  return has_room || !in_order_;
}

MetricWalk::MetricWalk(const ReadView& view, const Path& path)
    : view_(view), path_(path), ranked_(view, path.run, path.metric, path.descending) {
  Seek();
}

void MetricWalk::Seek() {
  const std::optional<NumberSortKey>& start = path_.start;
  if (start.has_value() && start->value.has_value()) {
    ranked_.Seek(*start->value, start->id);
  } else if (start.has_value()) {
    // The ranked ones are through: the cursor stays where it is not valid.
  } else if (path_.range.has_value()) {
    ranked_.Seek(path_.descending ? path_.range->high : path_.range->low, 0);
  } else {
    ranked_.SeekToFirst();
  }
}

bool MetricWalk::IsInRange(double value) const {
  if (!path_.range.has_value()) return true;
  return path_.descending ? value >= path_.range->low : value <= path_.range->high;
}

absl::StatusOr<bool> MetricWalk::Step(PageCollector& page) {
  if (!rest_.has_value()) {
    if (ranked_.Valid() && IsInRange(ranked_.value())) return StepRanked(page);
    if (!ranked_.status().ok()) return ranked_.status();
    if (path_.range.has_value()) return false;
    rest_.emplace(view_.Scan(Table::kCheckpoints, RunPrefix(path_.run)));
    const bool goes_on = path_.start.has_value() && !path_.start->value.has_value();
    rest_->Seek(CheckpointKey(path_.run, goes_on ? path_.start->id : 0));
  }
  return StepRest(page);
}

absl::StatusOr<bool> MetricWalk::StepRanked(PageCollector& page) {
  const std::string key = CheckpointKey(path_.run, ranked_.id());
  auto row = ReadRow<v1::Checkpoint>(view_, Table::kCheckpoints, key);
  if (!row.ok()) return row.status();
  if (!row->has_value()) return DamagedRow(Table::kCheckpoints, key);
  const bool has_room = page.Offer(path_.run, ranked_.id(), **std::move(row));
  ranked_.Next();
  return has_room || !path_.in_order;
}

absl::StatusOr<bool> MetricWalk::StepRest(PageCollector& page) {
  if (!rest_->Valid()) return EndOf(rest_->status());
  absl::StatusOr<DecodedRow> row = Decode(*rest_);
  if (!row.ok()) return row.status();
  const auto value = row->checkpoint.metrics().find(std::string(path_.metric));
  const bool is_ranked = value != row->checkpoint.metrics().end() && Ranks(value->second);
  const bool has_room =
      is_ranked || page.Offer(row->run, row->id, std::move(row->checkpoint)) || !path_.in_order;
  rest_->Next();
  return has_room;
}

}  // namespace ckpt::storage
