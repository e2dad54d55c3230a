#include "storage/catalog/rows.h"

#include <fmt/format.h>

#include "storage/base/digest.h"
#include "storage/base/errors.h"

namespace ckpt::storage {

absl::Status DamagedRow(Table table, std::string_view key) {
  return IndexDamaged(
      fmt::format("reading the index: row {} of '{}' is damaged", Hex(key), TableName(table)));
}

}  // namespace ckpt::storage
