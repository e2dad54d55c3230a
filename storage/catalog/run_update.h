// What the owner of a run reads from the catalog when it starts, and writes to it from then on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ckpt/v1/records.pb.h"
#include "ckpt/v1/resources.pb.h"
#include "storage/history/recorded_events.h"

namespace ckpt::storage {

// All that a run's actor needs to go on where the run was left.
struct RunSnapshot {
  v1::Run run;  // as stored: name, labels, policies, create_time
  v1::RunProgress progress;
  std::vector<v1::MetricName> metrics;     // the run's metric dictionary
  std::vector<v1::Checkpoint> open_saves;  // STATE_SAVING, by id
  // Saves of `open_saves` that a crash left after step 4: complete, with parts, from the manifest.
  // The owner goes on with step 5.
  std::vector<v1::Checkpoint> published;
};

// Changes of one run, applied all or none. Ids are the decimal ids within the run.
struct RunUpdate {
  std::string run;  // run id; created by its first `run_row`
  std::optional<v1::Run> run_row;
  std::optional<v1::RunProgress> progress;
  std::vector<v1::MetricName> new_metrics;   // added to the run's dictionary
  RecordedEvents events;                     // keys are (rank, event.seq)
  std::vector<v1::Checkpoint> opened_saves;  // pending rows to add
  std::vector<std::string> closed_saves;     // pending rows to remove: the save failed
  std::vector<v1::Checkpoint> committed;     // published checkpoints: step 5
  std::vector<std::string> deleted;          // checkpoints to delete, whatever names they have
};

// What Apply did besides what it was told: checkpoints that lost their last name to a newer one,
// and those of `RunUpdate::deleted`. Hand each to Evict after projecting what was committed.
struct ApplyResult {
  std::vector<v1::Eviction> evictions;
};

}  // namespace ckpt::storage
