// Rows of the index as messages.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/catalog/index_db.h"

namespace ckpt::storage {

// INDEX_DAMAGED: a row whose key or value is not what was written.
absl::Status DamagedRow(Table table, std::string_view key);

// INDEX_DAMAGED if `value` is no such message.
template <typename Message>
absl::StatusOr<Message> ParseRow(Table table, std::string_view key, std::string_view value) {
  Message message;
  if (!message.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return DamagedRow(table, key);
  }
  return message;
}

// The row at `key` in a ReadView or a Batch; nothing if there is none.
template <typename Message, typename Source>
absl::StatusOr<std::optional<Message>> ReadRow(const Source& source, Table table,
                                               std::string_view key) {
  const absl::StatusOr<std::optional<std::string>> value = source.Get(table, key);
  if (!value.ok()) return value.status();
  if (!value->has_value()) return std::nullopt;
  absl::StatusOr<Message> message = ParseRow<Message>(table, key, **value);
  if (!message.ok()) return message.status();
  return std::optional<Message>(*std::move(message));
}

}  // namespace ckpt::storage
