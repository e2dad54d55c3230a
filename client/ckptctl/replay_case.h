// Recorded training runs: the lines of a replay file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "ckpt/v1/policy.pb.h"
#include "ckpt/v1/resources.pb.h"

namespace ckpt::ctl {

struct ReplayMetric {
  std::string name;
  double value = 0;
  bool is_integer = false;
  int64_t integer = 0;
};

struct ReplayEvent {
  v1::Event::Kind kind = v1::Event::KIND_UNSPECIFIED;
  int64_t epoch = 0;
  int64_t batch = 0;
  std::vector<ReplayMetric> logs;
};

struct ReplayCase {
  std::string id;
  v1::CheckpointPolicy policy;  // named "replay"
  std::vector<ReplayEvent> events;
};

// One line:
//   {"id": …, "policy": {the callback's arguments under their own names}, "events": [{"type":
//   "train_begin" | "epoch_begin" | "batch_end" | "epoch_end" | "train_end", "epoch": …, "batch":
//   …, "logs": {name: number}}, …]}
// Other keys of a case are ignored. "NaN", "Infinity" and "-Infinity" are numbers. Errors:
// INVALID_ARGUMENT, naming what is wrong.
absl::StatusOr<ReplayCase> ParseReplayCase(std::string_view line);

}  // namespace ckpt::ctl
