// The rows of runs, read.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/catalog/index_db.h"
#include "storage/catalog/query.h"
#include "storage/catalog/run_update.h"

namespace ckpt::storage {

// RUN_NOT_FOUND if there is no such run.
absl::Status CheckRunExists(const ReadView& view, std::string_view run);

// See the functions of CheckpointStore: GetRun, LoadRun, ListRuns.
absl::StatusOr<v1::Run> ReadRun(const ReadView& view, std::string_view run);
absl::StatusOr<RunSnapshot> ReadRunSnapshot(const ReadView& view, std::string_view run);
absl::StatusOr<RunPage> FindRuns(const ReadView& view, int page_size, std::string_view page_token,
                                 std::string_view filter);

// Id of a metric in the run's dictionary; nothing if it is not in it.
absl::StatusOr<std::optional<uint32_t>> FindMetric(const ReadView& view, std::string_view run,
                                                   std::string_view metric);

// Calls `each` with the runs whose id is above `after`, by id, until it returns false.
absl::Status ForEachRunAfter(const ReadView& view, std::string_view after,
                             absl::FunctionRef<bool(v1::Run)> each);

}  // namespace ckpt::storage
