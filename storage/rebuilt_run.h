// One run of a rebuilt index, put together from what is left of it. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ckpt/v1/records.pb.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/catalog/run_update.h"

namespace ckpt::storage {

// Ids and writer epochs given after the newest one that is known may be lost with the index. So
// that none is ever given twice, a rebuilt run goes on this far above it.
inline constexpr uint64_t kRebuildGap = 1000;

// What the salvaged events say.
struct EventSummary {
  std::map<int, v1::EventRecord> newest;  // by rank
  uint64_t newest_save = 0;               // highest id in a decision
  void Add(const EventRow& event);
};

// The row of a run: the salvaged one, or as its newest manifest has it. `manifests` and, for the
// next function, `checkpoints` are by id; neither both `salvaged` and `manifests` are empty.
v1::Run RebuildRunRow(const std::string& run, const std::optional<v1::Run>& salvaged,
                      const std::map<uint64_t, v1::Manifest>& manifests);

// Where the run stands. Policies go on from the newest decision that is known; saves that were on
// their way have failed; a best that does not exist any more gives way to the best that does.
v1::RunProgress RebuildProgress(const v1::Run& run, const std::optional<v1::RunProgress>& salvaged,
                                const std::map<uint64_t, v1::Checkpoint>& checkpoints,
                                const EventSummary& events);

}  // namespace ckpt::storage
