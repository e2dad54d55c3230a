// Compares what a daemon has after a crash with what its trainers had been told.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ckpt/client.h"
#include "tests/crash/journal.h"
#include "tests/crash/plan.h"

namespace ckpt::crash {

// The promises.
enum class Broken {
  kLost,     // acknowledged, and neither there nor replaced by a later one; or not readable
  kTorn,     // there, but not byte for byte what the trainer sent
  kDoubled,  // an event decided twice, or differently from what its trainer was told
  kNotBest,  // "best" is not the best committed checkpoint
  kVisible,  // a name under runs/ that is not exactly a committed checkpoint
};
const char* Name(Broken broken);

struct Violation {
  Broken broken;
  std::string text;
};
using Violations = std::vector<Violation>;
std::string Text(const Violations& violations);

// Looks at a running daemon that no trainer talks to. Waits while recovery still finishes commits.
Violations CheckRun(Client& client, const std::string& data_dir, const Plan& plan,
                    const Expected& expected);

// Looks at the names under runs/ alone, also while there is no daemon: each must be a whole
// checkpoint, and none older than what has been acknowledged under that name.
Violations CheckNames(const std::string& data_dir, const Plan& plan, const Expected& expected);

}  // namespace ckpt::crash
