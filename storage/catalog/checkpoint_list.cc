#include "storage/catalog/checkpoint_list.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/errors.h"
#include "storage/catalog/fields.h"
#include "storage/catalog/filter.h"
#include "storage/catalog/key_encoding.h"
#include "storage/catalog/list_walks.h"
#include "storage/catalog/number_range.h"
#include "storage/catalog/order.h"
#include "storage/catalog/page_token.h"

namespace ckpt::storage {
namespace {

using Walks = std::vector<std::unique_ptr<Walk>>;

constexpr double kExactIds = 1LL << 53;  // up to here a double is one id

// The id in the position of a list by id, which ends in the key of a row.
std::optional<uint64_t> IdOf(std::string_view run, std::string_view position) {
  if (position.size() < run.size() + 1 + kU64Bytes) return std::nullopt;
  return DecodeU64(position.substr(position.size() - kU64Bytes));
}

// Ids that the filter may accept.
RowWalk::Ids IdsIn(const std::optional<NumberRange>& range) {
  RowWalk::Ids ids;
  if (!range.has_value()) return ids;
  ids.first = static_cast<uint64_t>(std::clamp(range->low, 0.0, kExactIds));
  if (range->high < kExactIds) ids.last = static_cast<uint64_t>(std::max(range->high, 0.0));
  return ids;
}

const OrderTerm* OnlyTerm(const Order& order, FieldId field) {
  return order.size() == 1 && order.front().field.field->id == field ? &order.front() : nullptr;
}

std::unique_ptr<Walk> WalkRows(const ReadView& view, std::string_view run, const Filter& filter,
                               const Order& order, std::string_view position) {
  RowWalk::Ids ids = IdsIn(RangeOf(filter, FieldId::kId));
  if (order.empty()) {
    ids.first = std::max(ids.first, IdOf(run, position).value_or(0));
    return std::make_unique<RowWalk>(view, run, ids, RowWalk::Direction::kForward,
                                     /*in_order=*/true);
  }
  const OrderTerm* by_id = OnlyTerm(order, FieldId::kId);
  if (by_id == nullptr || !by_id->descending) {
    return std::make_unique<RowWalk>(view, run, ids, RowWalk::Direction::kForward,
                                     /*in_order=*/false);
  }
  ids.last = std::min(ids.last, IdOf(run, position).value_or(ids.last));
  return std::make_unique<RowWalk>(view, run, ids, RowWalk::Direction::kBackward,
                                   /*in_order=*/true);
}

absl::StatusOr<std::unique_ptr<Walk>> WalkInOrderOf(const OrderTerm& term, const ReadView& view,
                                                    std::string_view run, const Filter& filter,
                                                    std::string_view position) {
  MetricWalk::Path path = {.run = run,
                           .metric = term.field.key,
                           .descending = term.descending,
                           .range = RangeOf(filter, FieldId::kMetrics, term.field.key),
                           .in_order = true,
                           .start = {}};
  if (!position.empty()) {
    path.start = ParseNumberSortKey(term, run, position);
    if (!path.start.has_value()) return PageTokenInvalid();
  }
  return std::make_unique<MetricWalk>(view, path);
}

// The ways that lead to all of a list, but for those that are never shorter than another.
absl::StatusOr<Walks> WalksOf(const ReadView& view, std::string_view run, const Filter& filter,
                              const Order& order, std::string_view position) {
  Walks walks;
  if (run.empty()) {
    const bool in_order = order.empty();
    walks.push_back(std::make_unique<RowWalk>(view, in_order ? position : "", in_order));
    return walks;
  }
  const OrderTerm* by_metric = OnlyTerm(order, FieldId::kMetrics);
  if (by_metric != nullptr) {
    auto walk = WalkInOrderOf(*by_metric, view, run, filter, position);
    if (!walk.ok()) return walk.status();
    walks.push_back(*std::move(walk));
  }
  if (by_metric == nullptr || RangeOf(filter, FieldId::kId).has_value()) {
    walks.push_back(WalkRows(view, run, filter, order, position));
  }
  const FieldRef* ranged = RangedMetric(filter);
  if (ranged != nullptr && (by_metric == nullptr || by_metric->field.key != ranged->key)) {
    const MetricWalk::Path path = {.run = run,
                                   .metric = ranged->key,
                                   .range = RangeOf(filter, FieldId::kMetrics, ranged->key)};
    walks.push_back(std::make_unique<MetricWalk>(view, path));
  }
  return walks;
}

// Goes all ways in turn, step by step, until the first of them has come to its end: nobody knows
// beforehand which is the shortest.
absl::StatusOr<PageCollector> FirstToEnd(const Walks& walks, const PageCollector& empty_page) {
  std::vector<PageCollector> pages(walks.size(), empty_page);
  while (true) {
    for (size_t i = 0; i < walks.size(); ++i) {
      const absl::StatusOr<bool> goes_on = walks[i]->Step(pages[i]);
      if (!goes_on.ok()) return goes_on.status();
      if (!*goes_on) return std::move(pages[i]);
    }
  }
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
  const absl::StatusOr<Walks> walks = WalksOf(view, query.run, *filter, *order, *position);
  if (!walks.ok()) return walks.status();
  auto page = FirstToEnd(*walks, PageCollector(*filter, *order, *position, query.page_size));
  if (!page.ok()) return page.status();
  return page->Take(question);
}

}  // namespace ckpt::storage
