#include "storage/catalog/checkpoint_list.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/errors.h"
#include "storage/catalog/fields.h"
#include "storage/catalog/filter.h"
#include "storage/catalog/key_encoding.h"
#include "storage/catalog/order.h"
#include "storage/catalog/page_token.h"
#include "storage/catalog/ranking.h"
#include "storage/catalog/rows.h"

namespace ckpt::storage {
namespace {

// Keeps the page: of all matching checkpoints after `position` that were offered, the first ones.
class PageCollector {
 public:
  PageCollector(const Filter& filter, const Order& order, std::string_view position, int page_size)
      : filter_(filter), order_(order), position_(position), max_rows_(PageRows(page_size)) {}

  // False once a checkpoint was left out for want of room: those ordered after it will be, too.
  bool Offer(std::string_view run, uint64_t id, v1::Checkpoint checkpoint) {
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

  CheckpointPage Take(Question question) {
    std::sort_heap(entries_.begin(), entries_.end());
    CheckpointPage page;
    if (more_) page.next_page_token = MakePageToken(question, entries_.back().key);
    for (Entry& entry : entries_) page.checkpoints.push_back(std::move(entry.checkpoint));
    return page;
  }

 private:
  struct Entry {
    std::string key;
    v1::Checkpoint checkpoint;
    size_t bytes;
    bool operator<(const Entry& other) const { return key < other.key; }
  };

  void DropLast() {
    std::pop_heap(entries_.begin(), entries_.end());
    bytes_ -= entries_.back().bytes;
    entries_.pop_back();
    more_ = true;
  }

  const Filter& filter_;
  const Order& order_;
  const std::string_view position_;
  const size_t max_rows_;
  std::vector<Entry> entries_;  // a heap: the last of the page in front
  size_t bytes_ = 0;
  bool more_ = false;
};

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

// Offers the rows from the cursor on that `wanted` accepts, until the page is full if they come in
// the order of the list.
template <typename Wanted>
absl::Status OfferRows(Cursor& cursor, void (Cursor::*advance)(), bool in_order,
                       PageCollector& page, Wanted wanted) {
  for (; cursor.Valid(); (cursor.*advance)()) {
    absl::StatusOr<DecodedRow> row = Decode(cursor);
    if (!row.ok()) return row.status();
    if (!wanted(row->checkpoint)) continue;
    if (!page.Offer(row->run, row->id, std::move(row->checkpoint)) && in_order) break;
  }
  return cursor.status();
}

bool Always(const v1::Checkpoint& /*checkpoint*/) { return true; }

std::string TablePrefix(std::string_view run) {
  return run.empty() ? std::string() : RunPrefix(run);
}

// A list by run and id. The position is the key of a row.
absl::Status ListForward(const ReadView& view, std::string_view run, std::string_view position,
                         PageCollector& page) {
  Cursor cursor = view.Scan(Table::kCheckpoints, TablePrefix(run));
  cursor.Seek(position);
  return OfferRows(cursor, &Cursor::Next, /*in_order=*/true, page, Always);
}

// A list of one run by id, the newest first. The position ends in the key of a row.
absl::Status ListBackward(const ReadView& view, std::string_view run, std::string_view position,
                          PageCollector& page) {
  Cursor cursor = view.Scan(Table::kCheckpoints, RunPrefix(run));
  const size_t row_key_bytes = run.size() + 1 + kU64Bytes;
  if (position.size() < row_key_bytes) {
    cursor.SeekToLast();
  } else {
    cursor.SeekForPrev(position.substr(position.size() - row_key_bytes));
  }
  return OfferRows(cursor, &Cursor::Prev, /*in_order=*/true, page, Always);
}

// The ranked part of a list of one run by one metric. True if the page is full.
absl::StatusOr<bool> OfferRanked(const ReadView& view, std::string_view run, RankingCursor& cursor,
                                 PageCollector& page) {
  for (; cursor.Valid(); cursor.Next()) {
    const std::string key = CheckpointKey(run, cursor.id());
    auto row = ReadRow<v1::Checkpoint>(view, Table::kCheckpoints, key);
    if (!row.ok()) return row.status();
    if (!row->has_value()) return DamagedRow(Table::kCheckpoints, key);
    if (!page.Offer(run, cursor.id(), **std::move(row))) return true;
  }
  if (!cursor.status().ok()) return cursor.status();
  return false;
}

// A list of one run by one metric: the ranking rows, then by id what has none.
absl::Status ListByMetric(const ReadView& view, std::string_view run, const OrderTerm& term,
                          std::string_view position, PageCollector& page) {
  const std::string& metric = term.field.key;
  NumberSortKey start;
  if (!position.empty()) {
    const auto parsed = ParseNumberSortKey(term, run, position);
    if (!parsed.has_value()) return PageTokenInvalid();
    start = *parsed;
  }
  if (position.empty() || start.value.has_value()) {
    RankingCursor cursor(view, run, metric, term.descending);
    if (position.empty()) {
      cursor.SeekToFirst();
    } else {
      cursor.Seek(*start.value, start.id);
    }
    const absl::StatusOr<bool> full = OfferRanked(view, run, cursor, page);
    if (!full.ok() || *full) return full.status();
    start.id = 0;
  }
  Cursor cursor = view.Scan(Table::kCheckpoints, RunPrefix(run));
  cursor.Seek(CheckpointKey(run, start.id));
  return OfferRows(cursor, &Cursor::Next, /*in_order=*/true, page,
                   [&](const v1::Checkpoint& checkpoint) {
                     const auto value = checkpoint.metrics().find(metric);
                     return value == checkpoint.metrics().end() || !Ranks(value->second);
                   });
}

// Any other list.
absl::Status ListSorted(const ReadView& view, std::string_view run, PageCollector& page) {
  Cursor cursor = view.Scan(Table::kCheckpoints, TablePrefix(run));
  cursor.SeekToFirst();
  return OfferRows(cursor, &Cursor::Next, /*in_order=*/false, page, Always);
}

absl::Status List(const ReadView& view, std::string_view run, const Order& order,
                  std::string_view position, PageCollector& page) {
  if (order.empty()) return ListForward(view, run, position, page);
  if (order.size() == 1 && !run.empty()) {
    const OrderTerm& term = order.front();
    if (term.field.field->id == FieldId::kMetrics) {
      return ListByMetric(view, run, term, position, page);
    }
    if (term.field.field->id == FieldId::kId && term.descending) {
      return ListBackward(view, run, position, page);
    }
  }
  return ListSorted(view, run, page);
}

}  // namespace

absl::StatusOr<CheckpointPage> FindCheckpoints(const ReadView& view, const CheckpointQuery& query) {
  const absl::StatusOr<Filter> filter = ParseFilter(query.filter, CheckpointFields());
  if (!filter.ok()) return filter.status();
  absl::StatusOr<Order> order = ParseOrder(query.order_by);
  if (!order.ok()) return order.status();
  // Within one run, by id is what lists are without an order.
  if (!query.run.empty() && order->size() == 1 && order->front().field.field->id == FieldId::kId &&
      !order->front().descending) {
    order->clear();
  }
  const Question question = {"checkpoints", query.run, query.filter, query.order_by};
  const absl::StatusOr<std::string> position = ReadPageToken(question, query.page_token);
  if (!position.ok()) return position.status();
  PageCollector page(*filter, *order, *position, query.page_size);
  if (absl::Status s = List(view, query.run, *order, *position, page); !s.ok()) return s;
  return page.Take(question);
}

}  // namespace ckpt::storage
