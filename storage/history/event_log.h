// The recorded events of runs, one row each: the key says run, rank and sequence number, the value
// is the v1::EventRecord as its owner gave it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "ckpt/v1/records.pb.h"
#include "storage/catalog/index_db.h"
#include "storage/catalog/query.h"
#include "storage/catalog/run_update.h"

namespace ckpt::storage {

// Adds rows to a batch; a row of the same rank and sequence number is replaced.
void AppendEvents(std::string_view run, std::span<const EventRow> events, Batch& batch);

// By sequence number. PAGE_TOKEN_INVALID. The run exists.
absl::StatusOr<EventPage> FindEvents(const ReadView& view, std::string_view run, int rank,
                                     int page_size, std::string_view page_token);

// Nothing if there is none.
absl::StatusOr<std::optional<v1::EventRecord>> FindEvent(const ReadView& view, std::string_view run,
                                                         int rank, uint64_t seq);

}  // namespace ckpt::storage
