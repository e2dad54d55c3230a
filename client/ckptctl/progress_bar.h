// How far a fetch has come.
#pragma once

#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>

namespace ckpt::ctl {

// One line that is written over, for a terminal. Ends with a line feed when destroyed.
class ProgressBar {
 public:
  ProgressBar(std::ostream& out, std::string label);
  ~ProgressBar();

  void Update(int64_t done_bytes, int64_t total_bytes);

 private:
  std::ostream& out_;
  const std::string label_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  int64_t first_ = -1;  // bytes that were there before: not part of the speed
  bool shown_ = false;
};

// The line, without its return. `bytes_per_second` 0: not known yet.
std::string ProgressLine(const std::string& label, int64_t done_bytes, int64_t total_bytes,
                         double bytes_per_second);

}  // namespace ckpt::ctl
