// What "best" and the other aliases mean.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/checkpoint_store.h"

namespace ckpt::server {

// The checkpoint called `id` in `run`: a decimal id, "latest", "best" or "best:{policy}". Blocks.
// CHECKPOINT_NOT_FOUND, ALIAS_UNRESOLVED, POLICY_NOT_FOUND, RUN_NOT_FOUND.
absl::StatusOr<v1::Checkpoint> FindCheckpoint(const storage::CheckpointStore& store,
                                              std::string_view run, std::string_view id);

// As CatalogService.GetBestCheckpoint; any of the last three may be empty. Blocks. Besides the
// above: FIELD_INVALID for a mode that is neither min nor max.
absl::StatusOr<v1::Checkpoint> FindBest(const storage::CheckpointStore& store, std::string_view run,
                                        std::string_view metric, std::string_view mode,
                                        std::string_view policy);

}  // namespace ckpt::server
