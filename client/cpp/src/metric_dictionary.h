// Numbers for the names of metrics.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/run.h"
#include "ckpt/v1/training_service.pb.h"

namespace ckpt::client {

// Gives each name an id, 0, 1, 2 … in the order of first use, and keeps it for the life of the
// process. Not thread-safe.
class MetricDictionary {
 public:
  // Adds `logs` to `event`. EVENT_INVALID and LIMIT_EXCEEDED for names or counts that the daemon
  // would refuse; `event` is then not to be sent.
  absl::Status Encode(Logs logs, const v1::Limits& limits, v1::Event* event);

  // Name of each id.
  const std::vector<std::string>& names() const { return names_; }

 private:
  absl::StatusOr<uint32_t> IdOf(std::string_view name, const v1::Limits& limits);

  absl::flat_hash_map<std::string, uint32_t> ids_;
  std::vector<std::string> names_;
  std::vector<uint64_t> used_in_;  // by id: the newest encoding that used it
  uint64_t encodings_ = 0;
};

// Whether `name` is UTF-8 without control characters.
bool IsPrintableUtf8(std::string_view name);

}  // namespace ckpt::client
