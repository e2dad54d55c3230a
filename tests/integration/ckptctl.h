// The admin tool, run as a user would.
#pragma once

#include <string>
#include <vector>

#include "tests/integration/daemon_process.h"
#include "tests/integration/process.h"

namespace ckpt::integration {

// Runs ckptctl against `daemon` to its end.
Finished Ckptctl(const DaemonProcess& daemon, const std::vector<std::string>& arguments);

}  // namespace ckpt::integration
