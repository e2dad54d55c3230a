#include "storage/catalog/fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"

namespace ckpt::storage {
namespace {

constexpr std::array<std::string_view, 2> kPayloads = {"weights", "full"};
constexpr std::array<std::string_view, 2> kStates = {"ended", "disconnected"};

constexpr std::array<Field, 11> kCheckpointFields = {{
    {"id", FieldId::kId, FieldType::kNumber},
    {"epoch", FieldId::kEpoch, FieldType::kNumber},
    {"batch", FieldId::kBatch, FieldType::kNumber},
    {"seq", FieldId::kSeq, FieldType::kNumber},
    {"size", FieldId::kSize, FieldType::kNumber},
    {"payload", FieldId::kPayload, FieldType::kText, {}, kPayloads},
    {"policy", FieldId::kPolicy, FieldType::kText},
    {"filepath", FieldId::kFilepath, FieldType::kText},
    {"run", FieldId::kRun, FieldType::kText},
    {"create_time", FieldId::kCreateTime, FieldType::kTime},
    {"metrics", FieldId::kMetrics, FieldType::kNumber, "val_loss"},
}};

constexpr std::array<Field, 4> kRunFields = {{
    {"name", FieldId::kRun, FieldType::kText},
    {"state", FieldId::kState, FieldType::kText, {}, kStates},
    {"epoch", FieldId::kEpoch, FieldType::kNumber},
    {"labels", FieldId::kLabels, FieldType::kText, "team"},
}};

constexpr size_t kNearDistance = 2;

// Insertions, deletions and replacements that make `a` into `b`.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row[b.size()];
}

std::string Written(const Field& field) {
  if (field.example_key.empty()) return std::string(field.name);
  return fmt::format("{}.{}", field.name, field.example_key);
}

std::string UnknownField(std::string_view name, std::span<const Field> fields) {
  const auto distance = [&](const Field& field) {
    return EditDistance(absl::AsciiStrToLower({name.data(), name.size()}), field.name);
  };
  const auto nearest =
      std::min_element(fields.begin(), fields.end(),
                       [&](const Field& a, const Field& b) { return distance(a) < distance(b); });
  if (distance(*nearest) <= std::min(kNearDistance, name.size() - 1)) {
    return fmt::format("there is no field '{}'; did you mean '{}'?", name, Written(*nearest));
  }
  std::vector<std::string> known;
  for (const Field& field : fields) known.push_back(Written(field));
  return fmt::format("there is no field '{}'; the fields are {}", name, fmt::join(known, ", "));
}

FieldValues One(FieldValue value) { return {value}; }

FieldValues Number(auto value) { return One(static_cast<double>(value)); }

FieldValues PlacementTexts(const v1::Checkpoint& checkpoint,
                           const std::string& (v1::Placement::*text)() const) {
  FieldValues values;
  for (const v1::Placement& placement : checkpoint.placements()) {
    values.emplace_back(std::string_view((placement.*text)()));
  }
  return values;
}

FieldValues Payload(v1::Checkpoint::Payload payload) {
  if (payload == v1::Checkpoint::PAYLOAD_WEIGHTS) return One(kPayloads[0]);
  if (payload == v1::Checkpoint::PAYLOAD_FULL) return One(kPayloads[1]);
  return {};
}

FieldValues State(v1::Run::State state) {
  if (state == v1::Run::STATE_ENDED) return One(kStates[0]);
  if (state == v1::Run::STATE_DISCONNECTED) return One(kStates[1]);
  return {};
}

FieldValues CreateTime(const v1::Checkpoint& checkpoint) {
  if (!checkpoint.has_create_time()) return {};
  const auto& time = checkpoint.create_time();
  return One(absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos()));
}

}  // namespace

std::span<const Field> CheckpointFields() { return kCheckpointFields; }
std::span<const Field> RunFields() { return kRunFields; }

absl::StatusOr<FieldRef> TakeField(QueryScanner& scanner, std::span<const Field> fields) {
  const size_t start = scanner.position();
  const std::string_view name = scanner.TakeName();
  if (name.empty()) {
    return scanner.Error(start, fmt::format("expected a field, such as {}", Written(fields[0])));
  }
  const auto field = std::find_if(fields.begin(), fields.end(),
                                  [&](const Field& known) { return known.name == name; });
  if (field == fields.end()) return scanner.Error(start, UnknownField(name, fields));
  FieldRef ref{&*field, {}, false};
  if (field->example_key.empty()) return ref;

  if (!scanner.Take(".")) {
    return scanner.Error(scanner.position(),
                         fmt::format("expected '.' and a name, as in {}", Written(*field)));
  }
  const size_t key_start = scanner.position();
  ref.key_quoted = scanner.AtQuote();
  if (ref.key_quoted) {
    absl::StatusOr<std::string> key = scanner.TakeQuoted();
    if (!key.ok()) return key.status();
    ref.key = *std::move(key);
  } else {
    ref.key = scanner.TakeName();
  }
  if (ref.key.empty()) {
    return scanner.Error(key_start, fmt::format("expected a name, as in {}", Written(*field)));
  }
  return ref;
}

FieldValues ValuesOf(const FieldRef& ref, const CheckpointRow& row) {
  const v1::Checkpoint& checkpoint = row.checkpoint;
  switch (ref.field->id) {
    case FieldId::kId:
      return Number(row.id);
    case FieldId::kEpoch:
      return Number(checkpoint.epoch());
    case FieldId::kBatch:
      return checkpoint.has_batch() ? Number(checkpoint.batch()) : FieldValues();
    case FieldId::kSeq:
      return Number(checkpoint.seq());
    case FieldId::kSize:
      return Number(checkpoint.size());
    case FieldId::kPayload:
      return Payload(checkpoint.payload());
    case FieldId::kPolicy:
      return PlacementTexts(checkpoint, &v1::Placement::policy);
    case FieldId::kFilepath:
      return PlacementTexts(checkpoint, &v1::Placement::filepath);
    case FieldId::kRun:
      return One(row.run);
    case FieldId::kCreateTime:
      return CreateTime(checkpoint);
    case FieldId::kMetrics: {
      const auto metric = checkpoint.metrics().find(ref.key);
      return metric == checkpoint.metrics().end() ? FieldValues() : Number(metric->second);
    }
    default:
      return {};
  }
}

FieldValues ValuesOf(const FieldRef& ref, const v1::Run& run) {
  constexpr std::string_view kPrefix = "runs/";
  switch (ref.field->id) {
    case FieldId::kRun:
      return One(std::string_view(run.name()).substr(std::min(kPrefix.size(), run.name().size())));
    case FieldId::kState:
      return State(run.state());
    case FieldId::kEpoch:
      return Number(run.epoch());
    case FieldId::kLabels: {
      const auto label = run.labels().find(ref.key);
      return label == run.labels().end() ? FieldValues() : One(std::string_view(label->second));
    }
    default:
      return {};
  }
}

}  // namespace ckpt::storage
