#include "server/policy/python_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/status/status.h"
#include "server/policy/format_number.h"
#include "server/policy/format_spec.h"
#include "server/policy/markup.h"
#include "server/policy/python_repr.h"
#include "storage/base/errors.h"

namespace ckpt::policy {
namespace {

// A template may hold fields in the specifications of its fields, and no deeper.
constexpr int kMaxDepth = 2;

absl::StatusOr<std::string> Expand(std::string_view format, Variables variables, int depth);

// The number in `text` if it is all digits, and so a position rather than a name.
absl::StatusOr<std::optional<int64_t>> ParsePosition(std::string_view text) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.empty() || !std::ranges::all_of(text, is_digit)) return std::nullopt;
  int64_t position = 0;
  for (const char c : text) {
    const int64_t digit = c - '0';
    if (position > (std::numeric_limits<int64_t>::max() - digit) / 10) {
      return TemplateValue("Too many decimal digits in format string");
    }
    position = position * 10 + digit;
  }
  return position;
}

absl::StatusOr<MetricValue> Attribute(const MetricValue& value, std::string_view name) {
  constexpr MetricValue kZero{.number = 0, .is_integer = true, .integer = 0};
  constexpr MetricValue kOne{.number = 1, .is_integer = true, .integer = 1};
  if (name == "real") return value;
  if (name == "imag") return value.is_integer ? kZero : MetricValue{};
  if (value.is_integer && name == "numerator") return value;
  if (value.is_integer && name == "denominator") return kOne;
  return TemplateAttribute(
      fmt::format("'{}' object has no attribute '{}'", PythonName(TypeOf(value)), name));
}

// What `[…]` at the beginning of `path` comes to: numbers have no elements.
absl::Status Index(const MetricValue& value, std::string_view path) {
  const std::string_view index = path.substr(1, path.find(']') - 1);
  if (auto position = ParsePosition(index); !position.ok()) return position.status();
  if (index.empty()) return TemplateValue("Empty attribute in format string");
  return TemplateType(fmt::format("'{}' object is not subscriptable", PythonName(TypeOf(value))));
}

// Follows what comes after a field's first name: nothing, or `.attribute` and `[index]` in any
// order.
absl::StatusOr<MetricValue> Follow(MetricValue value, std::string_view path) {
  while (!path.empty()) {
    if (path[0] == '[') return Index(value, path);
    path.remove_prefix(1);
    const size_t end = std::min(path.find_first_of(".["), path.size());
    if (end == 0) return TemplateValue("Empty attribute in format string");
    absl::StatusOr<MetricValue> attribute = Attribute(value, path.substr(0, end));
    if (!attribute.ok()) return attribute.status();
    value = *attribute;
    path.remove_prefix(end);
  }
  return value;
}

absl::StatusOr<MetricValue> Evaluate(std::string_view field_name, Variables variables) {
  const size_t end = std::min(field_name.find_first_of(".["), field_name.size());
  const std::string_view name = field_name.substr(0, end);
  absl::StatusOr<std::optional<int64_t>> position = ParsePosition(name);
  if (!position.ok()) return position.status();
  if (name.empty() || position->has_value()) {
    return TemplateIndex(fmt::format("Replacement index {} out of range for positional args tuple",
                                     position->value_or(0)));
  }
  const MetricValue* value = variables(name);
  if (value == nullptr) return TemplateKey(PythonRepr(name));
  return Follow(*value, field_name.substr(end));
}

absl::Status CheckConversion(char32_t conversion) {
  if (conversion == 0 || conversion == U'r' || conversion == U's' || conversion == U'a') {
    return absl::OkStatus();
  }
  // Unlike in the errors of presentation types, 127 is shown by its code here.
  if (conversion > 32 && conversion < 127) {
    return TemplateValue(
        fmt::format("Unknown conversion specifier {}", static_cast<char>(conversion)));
  }
  return TemplateValue(
      fmt::format("Unknown conversion specifier \\x{:x}", static_cast<uint32_t>(conversion)));
}

absl::StatusOr<std::string> Render(const Field& field, Variables variables, int depth) {
  absl::StatusOr<MetricValue> value = Evaluate(field.name, variables);
  if (!value.ok()) return value.status();
  if (absl::Status status = CheckConversion(field.conversion); !status.ok()) return status;

  std::string expanded;
  std::string_view spec_text = field.spec;
  if (field.spec_has_fields) {
    absl::StatusOr<std::string> text = Expand(field.spec, variables, depth + 1);
    if (!text.ok()) return text.status();
    expanded = *std::move(text);
    spec_text = expanded;
  }
  const bool as_text = field.conversion != 0;
  absl::StatusOr<FormatSpec> spec =
      ParseFormatSpec(spec_text, as_text ? ValueType::kStr : TypeOf(*value));
  if (!spec.ok()) return spec.status();
  if (absl::Status status = CheckFormatLimits(field.name, *spec); !status.ok()) return status;
  return as_text ? FormatText(PythonNumber(*value), *spec) : FormatNumber(*value, *spec);
}

absl::StatusOr<std::string> Expand(std::string_view format, Variables variables, int depth) {
  if (depth > kMaxDepth) return TemplateValue("Max string recursion exceeded");
  std::string out;
  MarkupReader reader(format);
  while (!reader.done()) {
    absl::StatusOr<Piece> piece = reader.Next();
    if (!piece.ok()) return piece.status();
    out += piece->literal;
    if (!piece->field.has_value()) continue;
    absl::StatusOr<std::string> text = Render(*piece->field, variables, depth);
    if (!text.ok()) return text.status();
    out += *text;
  }
  return out;
}

}  // namespace

absl::StatusOr<std::string> PythonFormat(std::string_view format, Variables variables) {
  return Expand(format, variables, 1);
}

}  // namespace ckpt::policy
