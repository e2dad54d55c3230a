#include "tests/integration/ckptctl.h"

#include <utility>

namespace ckpt::integration {

Finished Ckptctl(const DaemonProcess& daemon, const std::vector<std::string>& arguments) {
  Command command = {.argv = {CKPTCTL_BINARY},
                     .environment = {{"CKPT_SERVER", daemon.server()}},
                     .stderr_path = ""};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  return RunToEnd(std::move(command));
}

}  // namespace ckpt::integration
