// What a measurement is asked for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ckpt::bench {

struct Options {
  std::string folder = "/tmp";        // on the disk to measure; what is made in it is removed
  int64_t bytes = 512LL << 20;        // size of one checkpoint
  int pairs = 5;                      // product and baseline are run in turn, so often
  int64_t events = 2'000'000;         // for `events`
  int64_t decisions = 2'000;          // for `decision`
  int64_t long_history = 10'000'000;  // events, for `history`:
  int64_t short_history = 10'000;     // of a run that has many, and of one that has few
  int64_t large_bytes = 2LL << 30;    // for `trainer`, and for `memory`: the large one,
  int64_t small_bytes = 64LL << 20;   // and the small one it is compared with
  // For --scale, the smallest of each in front: runs, points of a metric, checkpoints of a run.
  std::vector<int64_t> scale_runs = {10, 100, 1000};
  std::vector<int64_t> scale_points = {10'000, 100'000, 1'000'000, 10'000'000};
  std::vector<int64_t> scale_checkpoints = {1'000, 10'000, 100'000, 1'000'000};
};

}  // namespace ckpt::bench
