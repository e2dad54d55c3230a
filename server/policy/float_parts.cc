#include "server/policy/float_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>

namespace ckpt::policy {
namespace {

// Decimal digits of a finite number: 0.DIGITS times ten to the power of `point`.
struct Decimal {
  std::string digits;  // no trailing zeros but for "0" itself
  int64_t point = 0;
};

// Text of std::to_chars for a number that is not negative.
template <typename... Format>
std::string ToChars(double value, int precision, Format... format) {
  constexpr int kLongest = 330;  // digits before the point of the largest double, and an exponent
  std::string text(kLongest + precision, '\0');
  const auto result = std::to_chars(text.data(), text.data() + text.size(), value, format...);
  text.resize(result.ptr - text.data());
  return text;
}

Decimal ParseScientific(const std::string& text) {
  const size_t e = text.find('e');
  Decimal decimal;
  for (const char c : text.substr(0, e)) {
    if (c != '.') decimal.digits.push_back(c);
  }
  while (decimal.digits.size() > 1 && decimal.digits.back() == '0') decimal.digits.pop_back();
  decimal.point = std::stoi(text.substr(e + 1)) + 1;
  return decimal;
}

Decimal Shortest(double value) {
  return ParseScientific(ToChars(value, 17, std::chars_format::scientific));
}

// Rounded, half to even on the exact binary value, to `count` significant digits.
Decimal Significant(double value, int count) {
  return ParseScientific(ToChars(value, count, std::chars_format::scientific, count - 1));
}

// Digits `from` to `to` of a decimal that goes on with zeros on both sides.
std::string Slice(const Decimal& decimal, int64_t from, int64_t to) {
  std::string text;
  for (int64_t i = from; i < to; ++i) {
    text.push_back(i >= 0 && i < std::ssize(decimal.digits) ? decimal.digits[i] : '0');
  }
  return text;
}

// How a decimal is written out.
struct Notation {
  bool exponent = false;
  int64_t least_digits = 0;    // counted from the first significant one
  bool keep_fraction = false;  // at least one digit after the point if there is no exponent
  bool keep_point = false;
};

Parts Write(Decimal decimal, const Notation& notation) {
  const int64_t exponent = decimal.point - 1;
  if (notation.exponent) decimal.point = 1;
  const int64_t point = decimal.point;
  const int64_t end = std::max({std::ssize(decimal.digits), notation.least_digits,
                                point + (notation.keep_fraction && !notation.exponent ? 1 : 0)});
  Parts parts;
  parts.digits = point > 0 ? Slice(decimal, 0, point) : "0";
  parts.rest = Slice(decimal, point, end);
  if (!parts.rest.empty() || notation.keep_point) parts.rest.insert(0, 1, '.');
  if (notation.exponent) {
    parts.rest += fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  return parts;
}

Parts FixedParts(double value, int precision, bool keep_point) {
  const std::string text = ToChars(value, precision, std::chars_format::fixed, precision);
  const size_t point = std::min(text.find('.'), text.size());
  Parts parts{.digits = text.substr(0, point), .rest = text.substr(point)};
  if (parts.rest.empty() && keep_point) parts.rest = ".";
  return parts;
}

// Like %g; `dot_zero` is the variant without a presentation type, which keeps one decimal.
Parts GeneralParts(double value, int precision, bool alternate, bool dot_zero) {
  precision = std::max(precision, 1);
  const Decimal decimal = Significant(value, precision);
  return Write(decimal, {.exponent = decimal.point <= -4 || decimal.point > precision - dot_zero,
                         .least_digits = alternate ? precision : 0,
                         .keep_fraction = dot_zero,
                         .keep_point = alternate});
}

Parts ReprParts(double value, bool keep_point) {
  constexpr int kMostDigits = 16;
  const Decimal decimal = Shortest(value);
  return Write(decimal, {.exponent = decimal.point <= -4 || decimal.point > kMostDigits,
                         .keep_fraction = true,
                         .keep_point = keep_point});
}

// Of a finite number that is not negative; `type` in lower case.
Parts FiniteParts(double value, char32_t type, const FormatSpec& spec) {
  constexpr int kDefaultPrecision = 6;
  const int precision = spec.precision < 0 ? kDefaultPrecision : spec.precision;
  switch (type) {
    case U'f':
    case U'%':
      return FixedParts(value, precision, spec.alternate);
    case U'e':
      return Write(Significant(value, precision + 1),
                   {.exponent = true, .least_digits = precision + 1, .keep_point = spec.alternate});
    case U'g':
    case U'n':
      return GeneralParts(value, precision, spec.alternate, /*dot_zero=*/false);
    default:
      if (spec.precision < 0) return ReprParts(value, spec.alternate);
      return GeneralParts(value, precision, spec.alternate, /*dot_zero=*/true);
  }
}

void ToUpper(std::string& text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
}

}  // namespace

Parts FloatParts(double value, const FormatSpec& spec) {
  const bool upper = spec.type == U'E' || spec.type == U'F' || spec.type == U'G';
  const char32_t type = upper ? spec.type - U'A' + U'a' : spec.type;
  if (type == U'%') value *= 100;
  Parts parts;
  if (std::isfinite(value)) {
    parts = FiniteParts(std::abs(value), type, spec);
  } else {
    parts.rest = std::isnan(value) ? "nan" : "inf";
  }
  parts.negative = std::signbit(value) && !std::isnan(value);
  if (type == U'%') parts.rest.push_back('%');
  if (upper) ToUpper(parts.rest);
  return parts;
}

}  // namespace ckpt::policy
