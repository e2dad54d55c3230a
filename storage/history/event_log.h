// The recorded events of runs. Those with a decision or a stage have a row: the key says run, rank
// and sequence number, the value is the v1::EventRecord as its owner gave it. All of them are in
// columns (see history_writer.h), but for those that the first ckptd recorded, which have rows.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "ckpt/v1/records.pb.h"
#include "storage/catalog/index_db.h"
#include "storage/catalog/query.h"
#include "storage/history/recorded_events.h"

namespace ckpt::storage {

// Adds the rows of those events that have one to a batch; a row of the same rank and sequence
// number is replaced.
void PutEventRows(std::string_view run, const RecordedEvents& events, Batch& batch);

// By sequence number. PAGE_TOKEN_INVALID. The run exists.
absl::StatusOr<EventPage> FindEvents(const ReadView& view, std::string_view run, int rank,
                                     int page_size, std::string_view page_token);

// Nothing if there is none.
absl::StatusOr<std::optional<v1::EventRecord>> FindEvent(const ReadView& view, std::string_view run,
                                                         int rank, uint64_t seq);

}  // namespace ckpt::storage
