// train_digits as a child of the tests.
#pragma once

#include <string>
#include <vector>

#include "tests/integration/daemon_process.h"

namespace ckpt::integration {

inline constexpr char kRun[] = "digits";
inline constexpr int kEpochs = 16;

// The command that trains kEpochs epochs of the run kRun.
inline Command TrainDigits(const DaemonProcess& daemon,
                           const std::vector<std::string>& flags = {}) {
  Command command;
  command.argv = {TRAIN_DIGITS_BINARY,    "--server", daemon.server(), "--run", kRun, "--epochs",
                  std::to_string(kEpochs)};
  command.argv.insert(command.argv.end(), flags.begin(), flags.end());
  return command;
}

// What train_digits prints first in the line of a 1-based epoch.
inline std::string EpochLine(int epoch) { return "Epoch " + std::to_string(epoch) + "/"; }

// What it prints first in its last line, in full precision.
inline constexpr char kScoreLine[] = "val_loss ";

}  // namespace ckpt::integration
