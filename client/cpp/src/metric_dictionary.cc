#include "client/cpp/src/metric_dictionary.h"

#include <fmt/format.h>

#include "absl/strings/escaping.h"
#include "storage/base/errors.h"

namespace ckpt::client {
namespace {

constexpr size_t kMaxNames = 65'536;

// Bytes of the UTF-8 sequence at the start of `text`; 0 if it is malformed.
size_t SequenceLength(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  const size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (length == 0 || lead > 0xF4 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies above U+10FFFF.
  if (lead == 0xE0 && at(1) < 0xA0) return 0;
  if (lead == 0xED && at(1) > 0x9F) return 0;
  if (lead == 0xF0 && at(1) < 0x90) return 0;
  if (lead == 0xF4 && at(1) > 0x8F) return 0;
  return length;
}

}  // namespace

bool IsPrintableUtf8(std::string_view name) {
  while (!name.empty()) {
    const size_t length = SequenceLength(name);
    const auto lead = static_cast<unsigned char>(name[0]);
    const bool c1_control =
        lead == 0xC2 && length == 2 && static_cast<unsigned char>(name[1]) < 0xA0;
    if (length == 0 || lead < 0x20 || lead == 0x7F || c1_control) return false;
    name.remove_prefix(length);
  }
  return true;
}

absl::StatusOr<uint32_t> MetricDictionary::IdOf(std::string_view name, const v1::Limits& limits) {
  const auto found = ids_.find(absl::string_view(name.data(), name.size()));
  if (found != ids_.end()) return found->second;
  if (name.empty() || !IsPrintableUtf8(name)) {
    // Escaped, because an error's values are UTF-8 too.
    const std::string shown = absl::CHexEscape(absl::string_view(name.data(), name.size()));
    return FieldInvalid("metric name", shown, "must be UTF-8 without control characters");
  }
  const auto longest = static_cast<size_t>(limits.max_metric_name_bytes());
  if (name.size() > longest) return LimitExceeded("bytes of a metric name", longest, name.size());
  if (names_.size() == kMaxNames) {
    return LimitExceeded("metric names of a process", kMaxNames, kMaxNames + 1);
  }
  const auto id = static_cast<uint32_t>(names_.size());
  names_.emplace_back(name);
  used_in_.push_back(0);
  ids_.emplace(names_.back(), id);
  return id;
}

absl::Status MetricDictionary::Encode(Logs logs, const v1::Limits& limits, v1::Event* event) {
  const auto most = static_cast<size_t>(limits.max_metrics_per_event());
  if (logs.size() > most) return LimitExceeded("metrics of an event", most, logs.size());
  ++encodings_;
  for (const Metric& metric : logs) {
    const absl::StatusOr<uint32_t> id = IdOf(metric.name, limits);
    if (!id.ok()) return id.status();
    if (used_in_[*id] == encodings_) {
      return FieldInvalid("metric name", metric.name, "an event has each metric once");
    }
    used_in_[*id] = encodings_;
    if (metric.is_integer) {
      event->add_integer_metric_ids(*id);
      event->add_integers(metric.integer);
    } else {
      event->add_metric_ids(*id);
      event->add_values(metric.value);
    }
  }
  return absl::OkStatus();
}

}  // namespace ckpt::client
