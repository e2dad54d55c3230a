// What is done to the daemon and the trainers in one round of kills.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/crash/fleet.h"

namespace ckpt::crash {

// A system call of the daemon, counted in each of its threads: a named point of the commit.
struct Point {
  std::string call;
  int nth = 1;
};

struct Step {
  enum class Act {
    kKillTrainer,
    kStopTrainer,
    kFenceTrainer,
    kContinueTrainer,
    kStopDaemon,
    kContinueDaemon
  };
  int at = 0;  // milliseconds after the round's begin
  Act act;
  size_t run = 0;
  Style style;  // of the trainer that fences
};

struct Round {
  std::vector<Style> styles;   // by run: of the trainer that is started if there is none
  std::vector<Step> steps;     // in order of time
  int kill_at = 0;             // milliseconds: SIGKILL of the daemon, at the latest
  std::optional<Point> point;  // where it is killed before that, if it gets there
};

// The same for the same seed and number.
Round RoundOf(uint64_t seed, int number, size_t runs, const std::vector<std::string>& ways);
std::string Text(const Round& round);

}  // namespace ckpt::crash
