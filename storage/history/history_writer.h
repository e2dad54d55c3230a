// Records events as columns.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/catalog/index_db.h"
#include "storage/history/recorded_events.h"

namespace ckpt::storage {

// Gathers the events of one batch, over all runs, and writes them when all are there: a small block
// behind the others, or, as soon as kSegmentEvents have come together, sealed segments in the place
// of the blocks before. Everything goes into the caller's batch, so that an event is in one block
// at every moment. Not thread-safe.
class HistoryWriter {
 public:
  // Sequence numbers ascend; those that are recorded already are passed over. `events` must stay
  // until Write.
  void Add(std::string_view run, const RecordedEvents& events);
  bool empty() const { return added_.empty(); }
  // Puts the rows of all that was added into `batch`; the index holds what there was before it.
  // STORAGE_FAILED and INDEX_DAMAGED: the batch must be thrown away then.
  absl::Status Write(const ReadView& view, Batch& batch) const;

 private:
  std::map<std::pair<std::string, uint32_t>, std::vector<const PackedEvents*>>
      added_;  // by run and rank
};

}  // namespace ckpt::storage
