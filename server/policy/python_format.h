// Python's str.format for templates whose variables are numbers: the same text, or the same
// exception. It is a small evaluator of its own; no part of a template ever reaches a C or C++
// formatting function.
//
// Where it differs: only ASCII digits are digits; numbers have no attributes but real, imag,
// numerator and denominator; widths and precisions are limited (format_spec.h).
#pragma once

#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "server/policy/metric_value.h"

namespace ckpt::policy {

// The variable of a name; null if there is none.
using Variables = absl::FunctionRef<const MetricValue*(std::string_view name)>;

// `format` with its fields replaced. Errors, with Python's words: TEMPLATE_KEY (the message is the
// name as repr() shows it), TEMPLATE_VALUE, TEMPLATE_INDEX, TEMPLATE_TYPE, TEMPLATE_ATTRIBUTE;
// PATH_TOO_LONG for a width or precision over the limit.
absl::StatusOr<std::string> PythonFormat(std::string_view format, Variables variables);

}  // namespace ckpt::policy
