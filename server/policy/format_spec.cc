#include "server/policy/format_spec.h"

#include <fmt/format.h>

#include <limits>
#include <optional>
#include <string>

#include "storage/base/errors.h"
#include "storage/base/utf8.h"

namespace ckpt::policy {
namespace {

bool IsAlign(char32_t c) { return c == '<' || c == '>' || c == '=' || c == '^'; }
bool IsSign(char c) { return c == ' ' || c == '+' || c == '-'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Takes `text` apart from its front. Each Take… removes what it returns.
class SpecReader {
 public:
  explicit SpecReader(std::string_view text) : rest_(text) {}

  std::string_view rest() const { return rest_; }

  bool TakeIf(char wanted) {
    if (!rest_.starts_with(wanted)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  char TakeSign() {
    if (rest_.empty() || !IsSign(rest_[0])) return '\0';
    return TakeByte();
  }

  // Fill and alignment, if there are any. Whether there was a fill.
  bool TakeAlignment(FormatSpec& spec) {
    if (rest_.empty()) return false;
    std::string_view after_fill = rest_;
    const char32_t fill = TakeCodePoint(after_fill);
    if (!after_fill.empty() && IsAlign(after_fill[0])) {
      spec.fill = fill;
      spec.align = after_fill[0];
      rest_ = after_fill.substr(1);
      return true;
    }
    if (IsAlign(fill)) spec.align = TakeByte();
    return false;
  }

  // A run of digits; nothing if there is none. Saturates.
  std::optional<int> TakeNumber() {
    if (rest_.empty() || !IsDigit(rest_[0])) return std::nullopt;
    constexpr int kMax = std::numeric_limits<int>::max();
    int number = 0;
    while (!rest_.empty() && IsDigit(rest_[0])) {
      const int digit = TakeByte() - '0';
      number = number > (kMax - digit) / 10 ? kMax : number * 10 + digit;
    }
    return number;
  }

  char32_t TakeType() { return TakeCodePoint(rest_); }

 private:
  char TakeByte() {
    const char byte = rest_[0];
    rest_.remove_prefix(1);
    return byte;
  }

  std::string_view rest_;
};

FormatSpec Defaults(ValueType type) {
  switch (type) {
    case ValueType::kInt:
      return {.type = U'd'};
    case ValueType::kStr:
      return {.align = '<', .type = U's'};
    case ValueType::kFloat:
      break;
  }
  return {};
}

absl::Status TakeGrouping(SpecReader& reader, FormatSpec& spec) {
  if (reader.TakeIf(',')) {
    spec.grouping = ',';
  } else if (reader.TakeIf('_')) {
    spec.grouping = '_';
  }
  if ((spec.grouping == ',' && reader.rest().starts_with('_')) ||
      (spec.grouping == '_' && reader.rest().starts_with(','))) {
    return TemplateValue("Cannot specify both ',' and '_'.");
  }
  return absl::OkStatus();
}

absl::Status CheckGrouping(const FormatSpec& spec) {
  constexpr std::u32string_view kDecimal = U"defgEG%F";
  constexpr std::u32string_view kOtherBases = U"boxX";
  if (spec.grouping == '\0' || spec.type == 0 || kDecimal.find(spec.type) != kDecimal.npos) {
    return absl::OkStatus();
  }
  if (spec.grouping == '_' && kOtherBases.find(spec.type) != kOtherBases.npos) {
    return absl::OkStatus();
  }
  return TemplateValue(
      fmt::format("Cannot specify '{}' with '{}'.", spec.grouping, ShowType(spec.type)));
}

}  // namespace

std::string_view PythonName(ValueType type) {
  switch (type) {
    case ValueType::kInt:
      return "int";
    case ValueType::kFloat:
      return "float";
    case ValueType::kStr:
      break;
  }
  return "str";
}

std::string ShowType(char32_t type) {
  if (type > 32 && type < 128) return std::string(1, static_cast<char>(type));
  return fmt::format("\\x{:x}", static_cast<uint32_t>(type));
}

absl::StatusOr<FormatSpec> ParseFormatSpec(std::string_view text, ValueType type) {
  FormatSpec spec = Defaults(type);
  const char default_align = spec.align;
  SpecReader reader(text);
  const bool has_fill = reader.TakeAlignment(spec);
  const bool has_align = reader.rest().size() != text.size();
  spec.sign = reader.TakeSign();
  spec.alternate = reader.TakeIf('#');
  if (!has_fill && reader.TakeIf('0')) {
    spec.fill = U'0';
    if (!has_align && default_align == '>') spec.align = '=';
  }
  spec.width = reader.TakeNumber().value_or(0);
  if (absl::Status status = TakeGrouping(reader, spec); !status.ok()) return status;
  if (reader.TakeIf('.')) {
    const std::optional<int> precision = reader.TakeNumber();
    if (!precision.has_value()) return TemplateValue("Format specifier missing precision");
    spec.precision = *precision;
  }
  if (!reader.rest().empty()) spec.type = reader.TakeType();
  if (!reader.rest().empty()) {
    return TemplateValue(fmt::format("Invalid format specifier '{}' for object of type '{}'", text,
                                     PythonName(type)));
  }
  if (absl::Status status = CheckGrouping(spec); !status.ok()) return status;
  return spec;
}

absl::Status CheckFormatLimits(std::string_view field, const FormatSpec& spec) {
  if (spec.width > kMaxFormatWidth) {
    return PathTooLong(fmt::format("field '{{{}}}' asks for width {}; the limit is {}", field,
                                   spec.width, kMaxFormatWidth));
  }
  if (spec.precision > kMaxFormatPrecision) {
    return PathTooLong(fmt::format("field '{{{}}}' asks for precision {}; the limit is {}", field,
                                   spec.precision, kMaxFormatPrecision));
  }
  return absl::OkStatus();
}

}  // namespace ckpt::policy
