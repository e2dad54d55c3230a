// Numbers and their text as Python writes them: str.format's presentation types b c d o x X n for
// whole numbers and e E f F g G n % and none for floats, in the C locale.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/policy/format_spec.h"
#include "server/policy/metric_value.h"

namespace ckpt::policy {

ValueType TypeOf(const MetricValue& value);

// Formats a number with a specification parsed for its type and within the limits. TEMPLATE_VALUE
// with Python's words where the specification does not fit the value.
absl::StatusOr<std::string> FormatNumber(const MetricValue& value, const FormatSpec& spec);

// The same for text (what !r, !s and !a make of a number).
absl::StatusOr<std::string> FormatText(std::string_view text, const FormatSpec& spec);

// str() and repr() of a number: the shortest text that reads back as the same double.
std::string PythonNumber(const MetricValue& value);
std::string PythonFloat(double value);

// f"{value:.5f}"
std::string FiveDecimals(double value);

}  // namespace ckpt::policy
