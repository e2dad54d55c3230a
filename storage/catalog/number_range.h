// What a filter says about where to look.
#pragma once

#include <limits>
#include <optional>
#include <string_view>

#include "storage/catalog/fields.h"
#include "storage/catalog/filter.h"

namespace ckpt::storage {

// Both ends belong to it. Empty if `low` is above `high`.
struct NumberRange {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};

// A range that holds the number that a field has in each row that `filter` accepts; nothing if such
// a row may be without it, have NaN, or the filter says nothing about it. The filter may still
// refuse numbers in the range. The field is one of numbers with one value at most; `key` as in
// FieldRef.
std::optional<NumberRange> RangeOf(const Filter& filter, FieldId field, std::string_view key = {});

// The first metric that the filter gives a range of, if there is one.
const FieldRef* RangedMetric(const Filter& filter);

}  // namespace ckpt::storage
