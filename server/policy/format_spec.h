// The part of a replacement field after its colon: Python's format specification mini-language,
// [[fill]align][sign][#][0][width][grouping][.precision][type], as of Python 3.10.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ckpt::policy {

// Limits of ours: wide fields are a way to fill memory and disks.
inline constexpr int kMaxFormatWidth = 32;
inline constexpr int kMaxFormatPrecision = 20;

// What is being formatted: it sets the defaults of a specification and is named in its errors.
enum class ValueType { kInt, kFloat, kStr };

std::string_view PythonName(ValueType type);  // "int", "float", "str"

struct FormatSpec {
  char32_t fill = U' ';
  char align = '>';  // '<', '>', '^' or '=' (pad between sign and digits)
  char sign = '\0';  // '+', '-', ' ' or none
  bool alternate = false;
  int width = 0;         // code points; 0: as wide as the value
  char grouping = '\0';  // ',', '_' or none
  int precision = -1;    // -1: none given
  char32_t type = 0;     // presentation type; 0: none, which only floats have
};

// A presentation type as Python's error messages show it: itself, or `\x` and its code in
// hexadecimal.
std::string ShowType(char32_t type);

// Parses all of `text` for a value of `type`. TEMPLATE_VALUE with Python's words. Widths and
// precisions of any size are accepted here, those too large for an int as the largest int.
absl::StatusOr<FormatSpec> ParseFormatSpec(std::string_view text, ValueType type);

// PATH_TOO_LONG if width or precision is over the limit; `field` is for the message.
absl::Status CheckFormatLimits(std::string_view field, const FormatSpec& spec);

}  // namespace ckpt::policy
