// What ckptctl reads: names of runs and checkpoints, and lines of replay files. Input: a target, a
// newline, a line.

#include "client/ckptctl/replay_case.h"
#include "client/ckptctl/target.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text = ckpt::fuzz::ToText(data, size);
  if (const auto target = ckpt::ctl::ParseTarget(ckpt::fuzz::TakeLine(text)); target.ok()) {
    ckpt::fuzz::Check(!target->run.empty(), "a target has a run");
  }
  ckpt::ctl::ParseReplayCase(text).status().IgnoreError();
  return 0;
}
