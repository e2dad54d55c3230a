#include "storage/history/packed_events.h"

namespace ckpt::storage {
namespace {

template <typename Field>
auto SpanOf(const Field& field) {
  return std::span(field.data(), static_cast<size_t>(field.size()));
}

template <typename Value>
void Append(std::span<const Value> from, std::vector<Value>& to) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

EventNumbers NumbersOf(const v1::Event& event) {
  return {.seq = event.seq(),
          .kind = event.kind(),
          .epoch = event.epoch(),
          .batch = event.batch(),
          .time_unix_nanos = event.time_unix_nanos(),
          .metrics = SpanOf(event.metric_ids()),
          .values = SpanOf(event.values()),
          .integer_metrics = SpanOf(event.integer_metric_ids()),
          .integers = SpanOf(event.integers())};
}

void PackedEvents::Reserve(size_t events, size_t values) {
  entries_.reserve(entries_.size() + events);
  metrics_.reserve(metrics_.size() + values);
  values_.reserve(values_.size() + values);
}

void PackedEvents::Add(const EventNumbers& event) {
  entries_.push_back({event.seq, event.kind, event.epoch, event.batch, event.time_unix_nanos,
                      values_.size(), integers_.size()});
  Append(event.metrics, metrics_);
  Append(event.values, values_);
  Append(event.integer_metrics, integer_metrics_);
  Append(event.integers, integers_);
}

EventNumbers PackedEvents::operator[](size_t place) const {
  const Entry& entry = entries_[place];
  const bool last = place + 1 == entries_.size();
  const size_t values = (last ? values_.size() : entries_[place + 1].value) - entry.value;
  const size_t integers = (last ? integers_.size() : entries_[place + 1].integer) - entry.integer;
  return {.seq = entry.seq,
          .kind = entry.kind,
          .epoch = entry.epoch,
          .batch = entry.batch,
          .time_unix_nanos = entry.time_unix_nanos,
          .metrics = std::span(metrics_).subspan(entry.value, values),
          .values = std::span(values_).subspan(entry.value, values),
          .integer_metrics = std::span(integer_metrics_).subspan(entry.integer, integers),
          .integers = std::span(integers_).subspan(entry.integer, integers)};
}

}  // namespace ckpt::storage
