#include "client/cpp/src/event_log.h"

#include <algorithm>
#include <utility>

namespace ckpt::client {
namespace {

// A message is far below the 4 MiB that the daemon takes, also if its last event is a large one.
constexpr size_t kBatchBytes = 1 << 20;

}  // namespace

void EventLog::StartAfter(uint64_t durable_seq) { durable_seq_ = durable_seq; }

uint64_t EventLog::Append(v1::Event event) {
  event.set_seq(last_seq() + 1);
  events_.push_back(std::move(event));
  return last_seq();
}

void EventLog::Acknowledge(uint64_t durable_seq) {
  if (durable_seq <= durable_seq_) return;
  const size_t count = std::min<uint64_t>(durable_seq - durable_seq_, events_.size());
  events_.erase(events_.begin(), events_.begin() + static_cast<ptrdiff_t>(count));
  durable_seq_ += count;
  sent_ -= std::min(sent_, count);
}

void EventLog::Rewind() {
  sent_ = 0;
  declared_.clear();
}

size_t EventLog::DeclareNames(const v1::Event& event, v1::EventBatch* batch) {
  size_t bytes = 0;
  const auto declare = [&](uint32_t id) {
    if (declared_.size() <= id) declared_.resize(id + 1, false);
    if (declared_[id]) return;
    declared_[id] = true;
    v1::MetricName* name = batch->add_metrics();
    name->set_id(id);
    name->set_name(dictionary_.names()[id]);
    bytes += name->name().size();
  };
  for (const uint32_t id : event.metric_ids()) declare(id);
  for (const uint32_t id : event.integer_metric_ids()) declare(id);
  return bytes;
}

bool EventLog::TakeBatch(const v1::Limits& limits, v1::EventBatch* batch) {
  size_t bytes = 0;
  for (; sent_ < events_.size(); ++sent_) {
    if (bytes >= kBatchBytes || batch->events_size() >= limits.max_events_per_batch()) break;
    const v1::Event& event = events_[sent_];
    bytes += DeclareNames(event, batch) + event.ByteSizeLong();
    *batch->add_events() = event;
  }
  return batch->events_size() > 0;
}

}  // namespace ckpt::client
