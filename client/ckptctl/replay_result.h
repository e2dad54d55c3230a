// What a replay prints.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "ckpt/v1/resources.pb.h"

namespace ckpt::ctl {

// The answer to one case, as one line of JSON:
//   {"id": …, "init": {"warnings": […]}, "got": [{"event": …, …}, …]}
class ReplayResult {
 public:
  explicit ReplayResult(std::string_view id);
  ~ReplayResult();
  ReplayResult(const ReplayResult&) = delete;
  ReplayResult& operator=(const ReplayResult&) = delete;

  void SetWarnings(const std::vector<std::string>& warnings);
  // What is wrong with the policy: `init` has init_error (the reference's exception, or the reason
  // where ckptd alone refuses it) and init_message. False when `error` is about something else.
  bool SetInitError(const absl::Status& error);
  // Adds to `got` what the decision on event number `event` (its index in the case) shows: action,
  // payload and filepath of a save, message, warning, error, and best; nothing when it shows
  // nothing.
  void AddDecision(size_t event, const v1::Decision& decision);

  std::string ToLine() const;

 private:
  struct Json;
  std::unique_ptr<Json> json_;
};

// The Python exception that `reason` stands for; empty when there is none.
std::string_view PythonException(v1::ErrorReason reason);

}  // namespace ckpt::ctl
