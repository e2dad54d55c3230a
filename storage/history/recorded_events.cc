#include "storage/history/recorded_events.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace ckpt::storage {

void RecordedEvents::Add(EventRow row) {
  auto owned = std::make_shared<const v1::EventRecord>(std::move(row.record));
  rows_.push_back({row.rank, &owned->event(), owned.get()});
  owners_.push_back(std::move(owned));
}

void RecordedEvents::Append(RecordedEvents later) {
  std::ranges::copy(later.rows_, std::back_inserter(rows_));
  std::ranges::move(later.owners_, std::back_inserter(owners_));
}

}  // namespace ckpt::storage
