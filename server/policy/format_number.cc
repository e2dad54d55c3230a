#include "server/policy/format_number.h"

#include <fmt/format.h>

#include <cstdint>

#include "server/policy/float_parts.h"
#include "server/policy/layout.h"
#include "storage/base/errors.h"
#include "storage/base/utf8.h"

namespace ckpt::policy {
namespace {

absl::Status UnknownType(char32_t type, ValueType value_type) {
  return TemplateValue(fmt::format("Unknown format code '{}' for object of type '{}'",
                                   ShowType(type), PythonName(value_type)));
}

absl::StatusOr<Parts> CharacterParts(int64_t value, const FormatSpec& spec) {
  if (spec.sign != '\0') {
    return TemplateValue("Sign not allowed with integer format specifier 'c'");
  }
  if (spec.alternate) {
    return TemplateValue("Alternate form (#) not allowed with integer format specifier 'c'");
  }
  if (value < 0 || value > 0x10FFFF) return TemplateValue("%c arg not in range(0x110000)");
  if (!IsScalarValue(static_cast<char32_t>(value))) {
    return TemplateValue("%c arg is a surrogate, which no file name can hold");
  }
  Parts parts;
  AppendUtf8(static_cast<char32_t>(value), parts.rest);
  return parts;
}

absl::StatusOr<Parts> IntParts(int64_t value, const FormatSpec& spec) {
  if (spec.precision >= 0) {
    return TemplateValue("Precision not allowed in integer format specifier");
  }
  if (spec.type == U'c') return CharacterParts(value, spec);
  const uint64_t magnitude =
      value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  Parts parts{.negative = value < 0};
  switch (spec.type) {
    case U'b':
      parts.digits = fmt::format("{:b}", magnitude);
      break;
    case U'o':
      parts.digits = fmt::format("{:o}", magnitude);
      break;
    case U'x':
      parts.digits = fmt::format("{:x}", magnitude);
      break;
    case U'X':
      parts.digits = fmt::format("{:X}", magnitude);
      break;
    default:
      parts.digits = fmt::format("{}", magnitude);
  }
  if (spec.alternate && IsOtherBase(spec.type)) {
    parts.prefix = fmt::format("0{}", static_cast<char>(spec.type));
  }
  return parts;
}

bool IsFloatType(char32_t type) {
  constexpr std::u32string_view kTypes = U"eEfFgG%";
  return kTypes.find(type) != kTypes.npos;
}

}  // namespace

ValueType TypeOf(const MetricValue& value) {
  return value.is_integer ? ValueType::kInt : ValueType::kFloat;
}

absl::StatusOr<std::string> FormatNumber(const MetricValue& value, const FormatSpec& spec) {
  if (IsFloatType(spec.type)) return Layout(FloatParts(value.number, spec), spec);
  constexpr std::u32string_view kIntTypes = U"bcdoxXn";
  if (value.is_integer) {
    if (kIntTypes.find(spec.type) == kIntTypes.npos) return UnknownType(spec.type, ValueType::kInt);
    absl::StatusOr<Parts> parts = IntParts(value.integer, spec);
    if (!parts.ok()) return parts.status();
    return Layout(*parts, spec);
  }
  if (spec.type != 0 && spec.type != U'n') return UnknownType(spec.type, ValueType::kFloat);
  return Layout(FloatParts(value.number, spec), spec);
}

absl::StatusOr<std::string> FormatText(std::string_view text, const FormatSpec& spec) {
  if (spec.type != U's') return UnknownType(spec.type, ValueType::kStr);
  if (spec.sign == ' ') return TemplateValue("Space not allowed in string format specifier");
  if (spec.sign != '\0') return TemplateValue("Sign not allowed in string format specifier");
  if (spec.alternate) {
    return TemplateValue("Alternate form (#) not allowed in string format specifier");
  }
  if (spec.align == '=') {
    return TemplateValue("'=' alignment not allowed in string format specifier");
  }
  if (spec.precision >= 0) text = text.substr(0, spec.precision);
  return Layout({.rest = std::string(text)}, spec);
}

std::string PythonNumber(const MetricValue& value) {
  return value.is_integer ? fmt::format("{}", value.integer) : PythonFloat(value.number);
}

std::string PythonFloat(double value) {
  return Layout(FloatParts(value, FormatSpec{}), FormatSpec{});
}

std::string FiveDecimals(double value) {
  const FormatSpec spec{.precision = 5, .type = U'f'};
  return Layout(FloatParts(value, spec), spec);
}

}  // namespace ckpt::policy
