#include "tests/crash/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>

namespace ckpt::crash {
namespace {

using Act = Step::Act;

constexpr int kShortestRound = 50;
constexpr int kLongestRound = 900;
constexpr int kLongestStop = 400;

struct Call {
  const char* name;
  int often;  // about how many there are in a thread in one round
};
constexpr std::array kCalls = {
    Call{"fdatasync", 15}, Call{"fsync", 15},    Call{"renameat", 10}, Call{"linkat", 5},
    Call{"unlinkat", 10},  Call{"mkdirat", 5},   Call{"pwritev", 8},   Call{"fallocate", 4},
    Call{"fchmod", 4},     Call{"ftruncate", 2}, Call{"write", 60},    Call{"openat2", 60},
};

int Below(std::mt19937_64& random, int bound) {
  return static_cast<int>(random() % static_cast<uint64_t>(bound));
}

const char* Text(Act act) {
  switch (act) {
    case Act::kKillTrainer:
      return "kill trainer";
    case Act::kStopTrainer:
      return "stop trainer";
    case Act::kFenceTrainer:
      return "fence trainer";
    case Act::kContinueTrainer:
      return "continue trainer";
    case Act::kStopDaemon:
      return "stop daemon";
    case Act::kContinueDaemon:
      return "continue daemon";
  }
  return "";
}

}  // namespace

Round RoundOf(uint64_t seed, int number, size_t runs, const std::vector<std::string>& ways) {
  std::mt19937_64 random(seed * 1'000'003 + static_cast<uint64_t>(number));
  Round round;
  round.kill_at = kShortestRound + Below(random, kLongestRound - kShortestRound);
  const auto moment = [&] { return Below(random, round.kill_at); };
  const auto stop = [&](Act stopped, Act continued, size_t run) {
    const int at = moment();
    round.steps.push_back({.at = at, .act = stopped, .run = run, .style = {}});
    round.steps.push_back(
        {.at = at + Below(random, kLongestStop), .act = continued, .run = run, .style = {}});
  };
  for (size_t run = 0; run < runs; ++run) {
    round.styles.push_back(AnyStyle(random, ways));
    const int what = Below(random, 10);
    if (what < 2) {
      round.steps.push_back({.at = moment(), .act = Act::kKillTrainer, .run = run, .style = {}});
    } else if (what == 2) {
      stop(Act::kStopTrainer, Act::kContinueTrainer, run);
    } else if (what == 3) {
      round.steps.push_back(
          {.at = moment(), .act = Act::kFenceTrainer, .run = run, .style = AnyStyle(random, ways)});
    }
  }
  if (Below(random, 5) == 0) stop(Act::kStopDaemon, Act::kContinueDaemon, 0);
  if (Below(random, 3) == 0) {
    const Call& call = kCalls[static_cast<size_t>(Below(random, kCalls.size()))];
    round.point = Point{.call = call.name, .nth = 1 + Below(random, call.often)};
    round.kill_at += kLongestRound;  // a traced daemon is slower
  }
  std::stable_sort(round.steps.begin(), round.steps.end(),
                   [](const Step& a, const Step& b) { return a.at < b.at; });
  return round;
}

std::string Text(const Round& round) {
  std::string text;
  for (size_t run = 0; run < round.styles.size(); ++run) {
    text += fmt::format("  run {}: {}, Flush every {}\n", run, round.styles[run].way,
                        round.styles[run].flush_every);
  }
  for (const Step& step : round.steps) {
    text += fmt::format("  {} ms: {} {}\n", step.at, Text(step.act), step.run);
  }
  text += fmt::format("  {} ms: kill daemon", round.kill_at);
  if (round.point.has_value()) {
    text += fmt::format(", or at {} number {} of a thread", round.point->call, round.point->nth);
  }
  return text + '\n';
}

}  // namespace ckpt::crash
