#include "storage/catalog/filter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"

namespace ckpt::storage {
namespace {

// Longer symbols before those that they begin with.
constexpr std::array<std::pair<std::string_view, Operator>, 6> kOperators = {{
    {"!=", Operator::kNotEqual},
    {"<=", Operator::kLessOrEqual},
    {">=", Operator::kGreaterOrEqual},
    {"=", Operator::kEqual},
    {"<", Operator::kLess},
    {">", Operator::kGreater},
}};

// Refuses what other filter languages have and this one has not.
absl::Status RefuseLogic(QueryScanner scanner) {
  const size_t start = scanner.position();
  constexpr std::string_view kWhat =
      "OR, NOT and parentheses are not supported; comparisons are joined by AND";
  for (const std::string_view symbol : {"(", ")", "||", "!"}) {
    if (scanner.Take(symbol)) return scanner.Error(start, kWhat);
  }
  const std::string_view word = scanner.TakeName();
  for (const absl::string_view logic : {"or", "not"}) {
    if (absl::EqualsIgnoreCase({word.data(), word.size()}, logic)) {
      return scanner.Error(start, kWhat);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Operator> TakeOperator(QueryScanner& scanner, const FieldRef& field) {
  const size_t start = scanner.position();
  for (const auto& [symbol, op] : kOperators) {
    if (!scanner.Take(symbol)) continue;
    if (!field.field->choices.empty() && op != Operator::kEqual && op != Operator::kNotEqual) {
      return scanner.Error(start, fmt::format("{} can only be = or !=", field.field->name));
    }
    return op;
  }
  std::string what = "expected one of = != < <= > >=";
  if (!field.key.empty() && !field.key_quoted) {
    what += fmt::format(
        "; a name with other characters than letters, digits and _ needs quotes, as in {}.\"a/b\"",
        field.field->name);
  }
  return scanner.Error(start, what);
}

absl::StatusOr<double> TakeNumber(QueryScanner& scanner) {
  const size_t start = scanner.position();
  std::string_view text = scanner.TakeNumber();
  if (text.starts_with('+')) text.remove_prefix(1);
  double number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || rest != text.data() + text.size()) {
    return scanner.Error(start, "expected a number, such as 0.25, -3, 1e-4, inf or nan");
  }
  return number;
}

absl::StatusOr<absl::Time> TakeTime(QueryScanner& scanner) {
  const size_t start = scanner.position();
  absl::StatusOr<std::string> text = scanner.TakeQuoted();
  if (!text.ok()) return text.status();
  absl::Time time;
  std::string why;
  if (!absl::ParseTime(absl::RFC3339_full, *text, &time, &why)) {
    return scanner.Error(start, "expected a time, such as \"2026-01-31T12:00:00Z\"");
  }
  return time;
}

absl::StatusOr<std::string> TakeText(QueryScanner& scanner, const Field& field) {
  const size_t start = scanner.position();
  absl::StatusOr<std::string> text = scanner.TakeQuoted();
  if (!text.ok() || field.choices.empty()) return text;
  for (const std::string_view choice : field.choices) {
    if (absl::EqualsIgnoreCase(*text, {choice.data(), choice.size()})) return std::string(choice);
  }
  return scanner.Error(
      start, fmt::format("{} is one of \"{}\"", field.name, fmt::join(field.choices, "\", \"")));
}

template <typename Value>
absl::Status Assign(absl::StatusOr<Value> value, Comparison& comparison) {
  if (!value.ok()) return value.status();
  comparison.value = *std::move(value);
  return absl::OkStatus();
}

absl::Status TakeValue(QueryScanner& scanner, Comparison& comparison) {
  const Field& field = *comparison.field.field;
  switch (field.type) {
    case FieldType::kNumber:
      return Assign(TakeNumber(scanner), comparison);
    case FieldType::kTime:
      return Assign(TakeTime(scanner), comparison);
    case FieldType::kText:
      break;
  }
  return Assign(TakeText(scanner, field), comparison);
}

absl::StatusOr<Comparison> TakeComparison(QueryScanner& scanner, std::span<const Field> fields) {
  if (absl::Status status = RefuseLogic(scanner); !status.ok()) return status;
  absl::StatusOr<FieldRef> field = TakeField(scanner, fields);
  if (!field.ok()) return field.status();
  const absl::StatusOr<Operator> op = TakeOperator(scanner, *field);
  if (!op.ok()) return op.status();
  Comparison comparison{*std::move(field), *op, {}};
  if (absl::Status status = TakeValue(scanner, comparison); !status.ok()) return status;
  return comparison;
}

template <typename Value, typename Literal>
bool Holds(const Value& value, Operator op, const Literal& literal) {
  switch (op) {
    case Operator::kEqual:
      return value == literal;
    case Operator::kNotEqual:
      return !(value == literal);
    case Operator::kLess:
      return value < literal;
    case Operator::kLessOrEqual:
      return value <= literal;
    case Operator::kGreater:
      return value > literal;
    case Operator::kGreaterOrEqual:
      return value >= literal;
  }
  return false;
}

bool Holds(const FieldValue& value, const Comparison& comparison) {
  if (const double* number = std::get_if<double>(&value)) {
    const double literal = std::get<double>(comparison.value);
    if (std::isnan(*number) && std::isnan(literal)) return Holds(0, comparison.op, 0);
    return Holds(*number, comparison.op, literal);
  }
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    return Holds(*text, comparison.op, std::string_view(std::get<std::string>(comparison.value)));
  }
  return Holds(std::get<absl::Time>(value), comparison.op, std::get<absl::Time>(comparison.value));
}

bool Holds(const FieldValues& values, const Comparison& comparison) {
  const auto holds = [&](const FieldValue& value) { return Holds(value, comparison); };
  if (values.empty()) return false;
  if (comparison.op == Operator::kNotEqual) return std::all_of(values.begin(), values.end(), holds);
  return std::any_of(values.begin(), values.end(), holds);
}

template <typename Resource>
bool AllHold(const Filter& filter, const Resource& resource) {
  return std::all_of(filter.begin(), filter.end(), [&](const Comparison& comparison) {
    return Holds(ValuesOf(comparison.field, resource), comparison);
  });
}

}  // namespace

absl::StatusOr<Filter> ParseFilter(std::string_view text, std::span<const Field> fields) {
  QueryScanner scanner("filter", text);
  if (absl::Status status = scanner.CheckText(); !status.ok()) return status;
  Filter filter;
  if (scanner.AtEnd()) return filter;
  for (;;) {
    if (filter.size() == kMaxQueryTerms) {
      return scanner.Error(scanner.position(),
                           fmt::format("at most {} comparisons are allowed", kMaxQueryTerms));
    }
    absl::StatusOr<Comparison> comparison = TakeComparison(scanner, fields);
    if (!comparison.ok()) return comparison.status();
    filter.push_back(*std::move(comparison));
    if (scanner.AtEnd()) return filter;
    if (absl::Status status = RefuseLogic(scanner); !status.ok()) return status;
    const size_t start = scanner.position();
    if (scanner.TakeName() != "AND") return scanner.Error(start, "expected AND or the end");
  }
}

bool Matches(const Filter& filter, const CheckpointRow& row) { return AllHold(filter, row); }

bool Matches(const Filter& filter, const v1::Run& run) { return AllHold(filter, run); }

}  // namespace ckpt::storage
