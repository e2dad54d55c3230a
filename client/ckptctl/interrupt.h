// What Ctrl-C says.
#pragma once

#include <string>

namespace ckpt::ctl {

// While one lives, SIGINT writes `message` to standard error and ends the process with
// kInterrupted. One at a time.
class InterruptMessage {
 public:
  explicit InterruptMessage(const std::string& message);
  ~InterruptMessage();
  InterruptMessage(const InterruptMessage&) = delete;
  InterruptMessage& operator=(const InterruptMessage&) = delete;
};

}  // namespace ckpt::ctl
