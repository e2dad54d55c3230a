// The course of one metric, out of sealed segments, the tail, and rows of the first ckptd.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/catalog/index_db.h"
#include "storage/catalog/query.h"

namespace ckpt::storage {

// See SeriesQuery. Of the newest points it reads the blocks that hold them; for the other ways all
// blocks of the range, or where ranges are long enough their summaries.
absl::StatusOr<Series> FindSeries(const ReadView& view, const SeriesQuery& query, uint32_t metric);

}  // namespace ckpt::storage
