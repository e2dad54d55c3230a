#include "storage/catalog/order.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "storage/catalog/key_encoding.h"

namespace ckpt::storage {
namespace {

constexpr char kHasValue = '\x00';
constexpr char kHasNoValue = '\x01';

void AppendTime(std::string& key, absl::Time time) {
  constexpr uint64_t kSignBit = uint64_t{1} << 63;
  const timespec parts = absl::ToTimespec(time);
  AppendU64(key, static_cast<uint64_t>(parts.tv_sec) ^ kSignBit);
  AppendU32(key, static_cast<uint32_t>(parts.tv_nsec));
}

void AppendValue(std::string& key, const FieldValue& value) {
  if (const double* number = std::get_if<double>(&value)) {
    AppendDouble(key, *number);
  } else if (const auto* text = std::get_if<std::string_view>(&value)) {
    AppendText(key, *text);
  } else {
    AppendTime(key, std::get<absl::Time>(value));
  }
}

// Reverses the order of what begins at `start`.
void Flip(std::string& key, size_t start) {
  for (size_t i = start; i < key.size(); ++i) key[i] = static_cast<char>(~key[i]);
}

bool HasSortValue(const FieldValues& values) {
  if (values.empty()) return false;
  const double* number = std::get_if<double>(&values.front());
  return number == nullptr || !std::isnan(*number);
}

}  // namespace

absl::StatusOr<Order> ParseOrder(std::string_view text) {
  QueryScanner scanner("order_by", text);
  if (absl::Status status = scanner.CheckText(); !status.ok()) return status;
  Order order;
  if (scanner.AtEnd()) return order;
  for (;;) {
    if (order.size() == kMaxQueryTerms) {
      return scanner.Error(scanner.position(),
                           fmt::format("at most {} fields are allowed", kMaxQueryTerms));
    }
    absl::StatusOr<FieldRef> field = TakeField(scanner, CheckpointFields());
    if (!field.ok()) return field.status();
    const size_t start = scanner.position();
    const std::string_view direction = scanner.TakeName();
    if (!direction.empty() && direction != "desc") {
      return scanner.Error(start, "expected desc, a comma or the end");
    }
    order.push_back({*std::move(field), direction == "desc"});
    if (scanner.AtEnd()) return order;
    if (!scanner.Take(",")) {
      return scanner.Error(scanner.position(), direction.empty()
                                                   ? "expected desc, a comma or the end"
                                                   : "expected a comma or the end");
    }
  }
}

std::string SortKey(const Order& order, const CheckpointRow& row) {
  std::string key;
  for (const OrderTerm& term : order) {
    const FieldValues values = ValuesOf(term.field, row);
    if (!HasSortValue(values)) {
      key.push_back(kHasNoValue);
      continue;
    }
    key.push_back(kHasValue);
    const size_t start = key.size();
    AppendValue(key, values.front());
    if (term.descending) Flip(key, start);
  }
  return key.append(CheckpointKey(row.run, row.id));
}

std::optional<NumberSortKey> ParseNumberSortKey(const OrderTerm& term, std::string_view run,
                                                std::string_view key) {
  NumberSortKey parsed;
  if (key.empty()) return std::nullopt;
  const bool has_value = key.front() == kHasValue;
  key.remove_prefix(1);
  if (has_value) {
    std::string value(key.substr(0, kDoubleBytes));
    if (value.size() != kDoubleBytes) return std::nullopt;
    if (term.descending) Flip(value, 0);
    parsed.value = DecodeDouble(value);
    if (std::isnan(*parsed.value)) return std::nullopt;
    key.remove_prefix(kDoubleBytes);
  }
  if (key.size() != run.size() + 1 + kU64Bytes) return std::nullopt;
  parsed.id = DecodeU64(key.substr(run.size() + 1));
  return parsed;
}

}  // namespace ckpt::storage
