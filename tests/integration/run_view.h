// What can be seen of a run, in a form in which two runs can be compared.
#pragma once

#include <string>
#include <vector>

#include "tests/integration/daemon_process.h"

namespace ckpt::integration {

// One line each, without times and process numbers, which differ from run to run.
struct RunView {
  std::vector<std::string> checkpoints;  // in the order of their ids
  std::vector<std::string> events;       // in order, with the decisions on them
  std::vector<std::string> files;        // names under the run's folder, with sizes and digests
};

// Looks through the client library and at the disk. Fails the current test if the daemon does not
// answer, or if a file is not, byte for byte, the checkpoint that has its name.
RunView Observe(const DaemonProcess& daemon, const std::string& run);

}  // namespace ckpt::integration
