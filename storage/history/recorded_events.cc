#include "storage/history/recorded_events.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace ckpt::storage {
namespace {

constexpr size_t kSmallPart = 16;  // events that are copied rather than kept as a list of their own

}  // namespace

PackedEvents& RecordedEvents::LastOf(int rank) {
  if (parts_.empty() || parts_.back().rank != rank) parts_.push_back({rank, {}});
  return parts_.back().events;
}

void RecordedEvents::Add(int rank, const v1::Event& event) { LastOf(rank).Add(NumbersOf(event)); }

void RecordedEvents::Add(EventRow row) {
  const v1::Event& event = row.record.event();
  Add(row.rank, event);
  if (row.record.has_decision() || !event.staged_upload().empty()) whole_.push_back(std::move(row));
}

void RecordedEvents::Append(RecordedEvents later) {
  for (Part& part : later.parts_) {
    if (part.events.size() > kSmallPart) {
      parts_.push_back(std::move(part));
      continue;
    }
    PackedEvents& last = LastOf(part.rank);
    for (size_t i = 0; i < part.events.size(); ++i) last.Add(part.events[i]);
  }
  std::ranges::move(later.whole_, std::back_inserter(whole_));
}

void RecordedEvents::Reserve(int rank, size_t events, size_t values) {
  LastOf(rank).Reserve(events, values);
}

size_t RecordedEvents::size() const {
  size_t size = 0;
  for (const Part& part : parts_) size += part.events.size();
  return size;
}

}  // namespace ckpt::storage
