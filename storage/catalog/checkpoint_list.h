// Lists of committed checkpoints.
#pragma once

#include "absl/status/statusor.h"
#include "storage/catalog/index_db.h"
#include "storage/catalog/query.h"

namespace ckpt::storage {

// See CheckpointStore::ListCheckpoints. `query.run` is empty or exists. Costs, without a filter:
// lists by id (either direction) or by one metric of one run seek to the page; every other order
// reads all checkpoints once and keeps no more than the page.
absl::StatusOr<CheckpointPage> FindCheckpoints(const ReadView& view, const CheckpointQuery& query);

}  // namespace ckpt::storage
