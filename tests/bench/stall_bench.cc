#include <cstring>

#include "tests/bench/benches.h"
#include "tests/bench/machine.h"
#include "tests/bench/saving_run.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {

std::vector<Result> BenchStall(const Options& options) {
  const std::string weights = MakeWeights(options.bytes);
  std::string warm = weights;
  Servers servers(options);
  SavingRun run(servers.daemon().server(), "stall", weights, Way::kSharedMemory);
  run.Save();  // connects, and makes the slot

  std::vector<Sample> samples;
  for (int i = 0; i < options.pairs; ++i) {
    Sample sample;
    double begin = Now();
    run.HandOver();
    sample.product = (Now() - begin) * 1e3;
    run.AwaitDurable();
    begin = Now();
    std::memcpy(warm.data(), weights.data(), weights.size());
    sample.baseline = (Now() - begin) * 1e3;
    samples.push_back(sample);
  }
  Result result = Summarize(samples);
  result.name = "stall";
  result.what = "what a save in shared memory stops training for / memcpy into warm memory";
  result.unit = "ms";
  result.better = Better::kLower;
  result.target = 1.25;
  result.aim = 1.1;
  return {result};
}

}  // namespace ckpt::bench
