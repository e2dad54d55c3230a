// Filters of lists.
//
//   filter     = [ comparison { "AND" comparison } ]
//   comparison = field operator value
//   field      = NAME | NAME "." KEY | NAME "." QUOTED
//   operator   = "=" | "!=" | "<" | "<=" | ">" | ">="
//   value      = NUMBER | QUOTED
//
// Numbers are doubles in decimal, `inf`, `-inf` and `nan`, the latter equal to itself and neither
// below nor above anything. Texts compare as bytes and times (RFC 3339) as instants, both in double
// quotes. A field that is not there matches nothing. Of a field with several values one must match,
// and for `!=` all.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/catalog/fields.h"

namespace ckpt::storage {

enum class Operator : uint8_t { kEqual, kNotEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual };

struct Comparison {
  FieldRef field;
  Operator op;
  std::variant<double, std::string, absl::Time> value;  // of the field's type
};

// Comparisons that must all hold.
using Filter = std::vector<Comparison>;

// QUERY_INVALID, with the position and what was expected there.
absl::StatusOr<Filter> ParseFilter(std::string_view text, std::span<const Field> fields);

bool Matches(const Filter& filter, const CheckpointRow& row);
bool Matches(const Filter& filter, const v1::Run& run);

}  // namespace ckpt::storage
