#include "server/policy/save_freq.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "server/policy/format_number.h"
#include "server/policy/python_repr.h"
#include "storage/base/errors.h"
#include "storage/base/utf8.h"

namespace ckpt::policy {
namespace {

using google::protobuf::Value;

// A wrong value may be as large as a message; its error is not.
constexpr size_t kMaxShownBytes = 128;

bool IsWhole(double number) { return std::isfinite(number) && std::trunc(number) == number; }

// At least 1: every batch end counts for one or more, so 0 and less mean the same as 1.
int64_t BatchCount(double number) {
  constexpr auto kMax = std::numeric_limits<int64_t>::max();
  if (number >= static_cast<double>(kMax)) return kMax;
  return number < 1 ? 1 : static_cast<int64_t>(number);
}

// repr() of a value. Whole numbers are ints: the wire does not tell 2 from 2.0.
std::string Repr(const Value& value) {
  std::vector<std::string> items;
  switch (value.kind_case()) {
    case Value::kNumberValue:
      if (IsWhole(value.number_value())) return fmt::format("{:.0f}", value.number_value());
      return PythonFloat(value.number_value());
    case Value::kStringValue:
      return PythonRepr(value.string_value());
    case Value::kBoolValue:
      return value.bool_value() ? "True" : "False";
    case Value::kListValue:
      for (const Value& item : value.list_value().values()) items.push_back(Repr(item));
      return fmt::format("[{}]", fmt::join(items, ", "));
    case Value::kStructValue:
      for (const auto& [key, item] : value.struct_value().fields()) {
        items.push_back(fmt::format("{}: {}", PythonRepr(key), Repr(item)));
      }
      std::ranges::sort(items);
      return fmt::format("{{{}}}", fmt::join(items, ", "));
    default:
      return "None";
  }
}

absl::Status Invalid(std::string_view policy, const Value& value) {
  const std::string text =
      value.kind_case() == Value::kStringValue ? value.string_value() : Repr(value);
  return SaveFreqInvalid(policy, Utf8Prefix(text, kMaxShownBytes));
}

}  // namespace

absl::StatusOr<SaveFreq> ParseSaveFreq(std::string_view policy, const Value& value) {
  switch (value.kind_case()) {
    case Value::KIND_NOT_SET:
    case Value::kNullValue:
      return SaveFreq{};
    case Value::kStringValue:
      if (value.string_value() == "epoch") return SaveFreq{};
      return Invalid(policy, value);
    case Value::kBoolValue:
      return SaveFreq{.every_epoch = false};
    case Value::kNumberValue:
      if (!IsWhole(value.number_value())) return Invalid(policy, value);
      return SaveFreq{false, BatchCount(value.number_value())};
    default:
      return Invalid(policy, value);
  }
}

}  // namespace ckpt::policy
