// What filters and orders can speak of: the fields of runs and checkpoints, and their values.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/catalog/query_scanner.h"

namespace ckpt::storage {

enum class FieldId : uint8_t {
  kId,
  kEpoch,
  kBatch,
  kSeq,
  kSize,
  kPayload,
  kPolicy,
  kFilepath,
  kRun,
  kCreateTime,
  kMetrics,
  kState,
  kLabels,
};

enum class FieldType : uint8_t { kNumber, kText, kTime };

struct Field {
  std::string_view name;
  FieldId id;
  FieldType type;
  std::string_view example_key = {};               // fields written NAME.KEY: a key, for messages
  std::span<const std::string_view> choices = {};  // the only texts there are; empty: any
};

// The fields of each resource, in the order in which messages name them.
std::span<const Field> CheckpointFields();
std::span<const Field> RunFields();

// A field as a query names it.
struct FieldRef {
  const Field* field;
  std::string key;  // of NAME.KEY
  bool key_quoted = false;
};

// Reads `name`, `name.key` or `name."key"`. QUERY_INVALID for an unknown field, naming the nearest.
absl::StatusOr<FieldRef> TakeField(QueryScanner& scanner, std::span<const Field> fields);

// A checkpoint with the run and the id of its row.
struct CheckpointRow {
  std::string_view run;
  uint64_t id;
  const v1::Checkpoint& checkpoint;
};

// Values of a field; the variant's alternative is that of the field's type. Points into the
// resource. Empty if the resource does not have the field; several for policy and filepath.
using FieldValue = std::variant<double, std::string_view, absl::Time>;
using FieldValues = absl::InlinedVector<FieldValue, 2>;
FieldValues ValuesOf(const FieldRef& ref, const CheckpointRow& row);
FieldValues ValuesOf(const FieldRef& ref, const v1::Run& run);

}  // namespace ckpt::storage
