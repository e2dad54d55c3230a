#include "server/policy/file_name.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/policy/format_spec.h"
#include "server/policy/markup.h"
#include "server/policy/python_format.h"
#include "storage/base/errors.h"
#include "storage/base/utf8.h"

namespace ckpt::policy {
namespace {

// Stands for the text of a field where it is not known yet. No file name may contain it.
constexpr char kUnknown = '\0';

constexpr size_t kMaxShownBytes = 16;  // of a component in an error

// Bytes of the longest piece of `component` that is known.
size_t LongestKnown(std::string_view component) {
  size_t longest = 0;
  while (!component.empty()) {
    const size_t end = std::min(component.find(kUnknown), component.size());
    longest = std::max(longest, end);
    component.remove_prefix(std::min(end + 1, component.size()));
  }
  return longest;
}

absl::Status CheckComponent(std::string_view component) {
  if (component == "..") return PathEscapes("it contains '..'");
  if (component.starts_with(kReservedPrefix)) {
    return PathEscapes(fmt::format("names that begin with '{}' are reserved", kReservedPrefix));
  }
  if (LongestKnown(component) > kMaxComponentBytes) {
    return PathTooLong(fmt::format("'{}…' is longer than {} bytes",
                                   Utf8Prefix(component, kMaxShownBytes), kMaxComponentBytes));
  }
  return absl::OkStatus();
}

// `name` without its empty and `.` components, each of the others checked.
absl::StatusOr<std::string> Normalize(std::string_view name) {
  if (name.starts_with('/')) return PathEscapes("it is absolute");
  std::string path;
  std::string_view component;
  for (size_t begin = 0; begin <= name.size(); begin += component.size() + 1) {
    component = name.substr(begin, std::min(name.find('/', begin), name.size()) - begin);
    if (component.empty() || component == ".") continue;
    if (absl::Status status = CheckComponent(component); !status.ok()) return status;
    if (!path.empty()) path.push_back('/');
    path += component;
  }
  if (component.empty() || component == ".") return PathEscapes("it does not name a file");
  return path;
}

absl::Status Refuse(std::string_view filepath, const absl::Status& why) {
  return Annotate(why, fmt::format("filepath '{}'", filepath));
}

// `filepath` with its fields replaced by kUnknown; nothing if it is malformed. PATH_TOO_LONG for
// widths and precisions over the limit.
absl::StatusOr<std::optional<std::string>> KnownText(std::string_view filepath) {
  std::string known;
  MarkupReader reader(filepath);
  while (!reader.done()) {
    const absl::StatusOr<Piece> piece = reader.Next();
    if (!piece.ok()) return std::nullopt;
    known += piece->literal;
    if (!piece->field.has_value()) continue;
    known.push_back(kUnknown);
    const Field& field = *piece->field;
    if (field.spec_has_fields) continue;
    const auto spec =
        ParseFormatSpec(field.spec, field.conversion == 0 ? ValueType::kFloat : ValueType::kStr);
    if (!spec.ok()) continue;
    if (absl::Status status = CheckFormatLimits(field.name, *spec); !status.ok()) return status;
  }
  return known;
}

}  // namespace

absl::Status CheckTemplate(std::string_view filepath) {
  if (filepath.size() > kMaxTemplateBytes) {
    return PathTooLong(
        fmt::format("filepath has {} bytes; the limit is {}", filepath.size(), kMaxTemplateBytes));
  }
  if (filepath.find('\0') != filepath.npos) return PathEscapes("filepath contains NUL");
  const auto known = KnownText(filepath);
  if (!known.ok()) return Refuse(filepath, known.status());
  if (!known->has_value()) return absl::OkStatus();
  return Refuse(filepath, Normalize(**known).status());
}

absl::StatusOr<FileName> MakeFileName(std::string_view filepath, int64_t epoch,
                                      std::optional<int64_t> batch, const Logs& logs) {
  const auto one_based = [](int64_t index) {
    return MetricValue{static_cast<double>(index + 1), true, index + 1};
  };
  const MetricValue epoch_value = one_based(epoch);
  const MetricValue batch_value = one_based(batch.value_or(0));
  const auto variables = [&](std::string_view name) -> const MetricValue* {
    if (name == "epoch") return &epoch_value;
    if (const auto metric = logs.find(name); metric != logs.end()) return &metric->second;
    return name == "batch" && batch.has_value() ? &batch_value : nullptr;
  };
  absl::StatusOr<std::string> text =
      logs.contains("epoch")
          ? TemplateType("str.format() got multiple values for keyword argument 'epoch'")
          : PythonFormat(filepath, variables);
  if (!text.ok()) {
    return MakeError(ReasonOf(text.status()),
                     fmt::format("Failed to format this callback filepath: \"{}\". Reason: {}",
                                 filepath, MessageOf(text.status())));
  }
  if (text->size() > kMaxFileNameBytes) {
    return Refuse(filepath, PathTooLong(fmt::format("the name has {} bytes; the limit is {}",
                                                    text->size(), kMaxFileNameBytes)));
  }
  if (text->find('\0') != text->npos) return Refuse(filepath, PathEscapes("the name contains NUL"));
  absl::StatusOr<std::string> path = Normalize(*text);
  if (!path.ok()) return Refuse(*text, path.status());
  return FileName{*std::move(text), *std::move(path)};
}

}  // namespace ckpt::policy
