#include "storage/catalog/number_range.h"

#include <algorithm>
#include <cmath>
#include <variant>

namespace ckpt::storage {
namespace {

// Narrows `range`; false if the comparison gives no end of it.
bool Narrow(const Comparison& comparison, NumberRange* range) {
  const double* number = std::get_if<double>(&comparison.value);
  if (number == nullptr || std::isnan(*number)) return false;  // NaN may be asked for
  switch (comparison.op) {
    case Operator::kNotEqual:
      return false;
    case Operator::kEqual:
      range->low = std::max(range->low, *number);
      range->high = std::min(range->high, *number);
      return true;
    case Operator::kLess:
    case Operator::kLessOrEqual:
      range->high = std::min(range->high, *number);
      return true;
    case Operator::kGreater:
    case Operator::kGreaterOrEqual:
      range->low = std::max(range->low, *number);
      return true;
  }
  return false;
}

}  // namespace

std::optional<NumberRange> RangeOf(const Filter& filter, FieldId field, std::string_view key) {
  NumberRange range;
  bool narrowed = false;
  for (const Comparison& comparison : filter) {
    const bool same = comparison.field.field->id == field && comparison.field.key == key;
    if (same && Narrow(comparison, &range)) narrowed = true;
  }
  return narrowed ? std::optional(range) : std::nullopt;
}

const FieldRef* RangedMetric(const Filter& filter) {
  const auto ranged = std::find_if(filter.begin(), filter.end(), [&](const Comparison& comparison) {
    return comparison.field.field->id == FieldId::kMetrics &&
           RangeOf(filter, FieldId::kMetrics, comparison.field.key).has_value();
  });
  return ranged == filter.end() ? nullptr : &ranged->field;
}

}  // namespace ckpt::storage
