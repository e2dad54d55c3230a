// How an answer's time grows with what there is to search.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/bench/options.h"
#include "tests/bench/result.h"

namespace ckpt::bench {

struct Growth {
  std::string name;            // "scale/{name}/{size}" is what the results are called
  std::string what;            // such as "list --limit 20 of a run with"
  std::vector<int64_t> sizes;  // the smallest, which is the baseline, in front
  int questions = 50;          // of each size in each round
  double target = 1.5;
  double aim = 1.2;
};

// Asks about each size in turn. `ask` gives the milliseconds that one answer took.
std::vector<Result> MeasureGrowth(const Options& options, const Growth& growth,
                                  const std::function<double(int64_t size)>& ask);

// "1e+06".
std::string Scientific(int64_t count);

}  // namespace ckpt::bench
