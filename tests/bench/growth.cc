#include "tests/bench/growth.h"

#include <fmt/format.h>

#include <utility>

namespace ckpt::bench {
namespace {

// The middle of the times for each size.
std::vector<double> AskInTurn(const Growth& growth, const std::function<double(int64_t)>& ask) {
  std::vector<std::vector<double>> times(growth.sizes.size());
  for (int question = 0; question < growth.questions; ++question) {
    for (size_t i = 0; i < times.size(); ++i) times[i].push_back(ask(growth.sizes[i]));
  }
  std::vector<double> middles;
  for (std::vector<double>& each : times) middles.push_back(Median(std::move(each)));
  return middles;
}

}  // namespace

std::vector<Result> MeasureGrowth(const Options& options, const Growth& growth,
                                  const std::function<double(int64_t size)>& ask) {
  for (const int64_t size : growth.sizes) ask(size);  // reads all for the first time
  std::vector<std::vector<double>> rounds;
  for (int i = 0; i < options.pairs; ++i) rounds.push_back(AskInTurn(growth, ask));
  std::vector<Result> results;
  for (size_t i = 1; i < growth.sizes.size(); ++i) {
    std::vector<Sample> samples;
    for (const std::vector<double>& times : rounds) {
      samples.push_back({.product = times[i], .baseline = times[0]});
    }
    Result result = Summarize(samples);
    result.name = fmt::format("scale/{}/{}", growth.name, Scientific(growth.sizes[i]));
    result.what = fmt::format("p50 of {} {} / {}", growth.what, Scientific(growth.sizes[i]),
                              Scientific(growth.sizes[0]));
    result.unit = "ms";
    result.better = Better::kLower;
    result.target = growth.target;
    result.aim = growth.aim;
    results.push_back(std::move(result));
  }
  return results;
}

std::string Scientific(int64_t count) { return fmt::format("{:.0e}", static_cast<double>(count)); }

}  // namespace ckpt::bench
