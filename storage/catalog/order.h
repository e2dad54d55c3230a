// Orders of lists.
//
//   order_by = [ term { "," term } ]
//   term     = field [ "desc" ]            (field as in filter.h)
//
// Checkpoints without the field, or with NaN, come last in either direction; of several values the
// first counts. Equals are ordered by run, then id.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/catalog/fields.h"

namespace ckpt::storage {

struct OrderTerm {
  FieldRef field;
  bool descending = false;
};

using Order = std::vector<OrderTerm>;

// QUERY_INVALID, with the position and what was expected there.
absl::StatusOr<Order> ParseOrder(std::string_view text);

// Bytes that compare as the checkpoints are ordered. For each term 00 and the value as in
// key_encoding.h, flipped if it descends, or 01 without a value; then the key of the row. No two
// checkpoints share one.
std::string SortKey(const Order& order, const CheckpointRow& row);

// What a SortKey of a single numeric term says.
struct NumberSortKey {
  std::optional<double> value;
  uint64_t id = 0;
};
// Nothing if `key` is none for this term and run.
std::optional<NumberSortKey> ParseNumberSortKey(const OrderTerm& term, std::string_view run,
                                                std::string_view key);

}  // namespace ckpt::storage
