// Lists of committed checkpoints.
#pragma once

#include "absl/status/statusor.h"
#include "storage/catalog/index_db.h"
#include "storage/catalog/query.h"

namespace ckpt::storage {

// See CheckpointStore::ListCheckpoints. `query.run` is empty or exists. Costs: without a filter,
// lists by id (either direction) or by one metric of one run seek to the page; every other order
// reads all checkpoints once and keeps no more than the page. Bounds that the filter of a list of
// one run has for the id or a metric are seeks, too: no more is read, about, than the smallest of
// what they leave and what the order comes past until the page is full, times the number of ways.
absl::StatusOr<CheckpointPage> FindCheckpoints(const ReadView& view, const CheckpointQuery& query);

}  // namespace ckpt::storage
