// Replays recorded cases (README.md) against anything that decides like the reference callback: the
// policy engine itself, or a daemon behind its client.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ckpt/v1/policy.pb.h"
#include "ckpt/v1/resources.pb.h"
#include "tests/conformance/json_lines.h"

namespace ckpt::conformance {

struct CaseEvent {
  v1::Event::Kind kind = v1::Event::KIND_UNSPECIFIED;
  int64_t epoch = 0;
  int64_t batch = 0;
  std::vector<Metric> logs;
};

// One ModelCheckpoint and the run it watches.
class Subject {
 public:
  virtual ~Subject() = default;
  // Begins the run `run`. What the constructor of the reference logs, or SAVE_FREQ_INVALID.
  virtual absl::StatusOr<std::vector<std::string>> Start(const std::string& run,
                                                         const v1::CheckpointPolicy& policy) = 0;
  // Reports an event and has what was decided committed. A decision of no policies if none acted.
  virtual absl::StatusOr<v1::Decision> Feed(const CaseEvent& event) = 0;
};

// Plays `recorded` and returns {"id":…, "init":{…}, "got":[…]}: `got` in the form of `expect`.
nlohmann::json Replay(const nlohmann::json& recorded, Subject& subject);

}  // namespace ckpt::conformance
