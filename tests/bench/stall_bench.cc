#include <cstring>

#include "tests/bench/benches.h"
#include "tests/bench/machine.h"
#include "tests/bench/saving_run.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

Result BenchHandOver(const Options& options, const char* filepath) {
  const std::string weights = MakeWeights(options.bytes);
  std::string warm = weights;
  Servers servers(options);
  SavingRun run(servers.daemon().server(), "stall", weights, Way::kSharedMemory, filepath);
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
  result.unit = "ms";
  result.better = Better::kLower;
  return result;
}

}  // namespace

std::vector<Result> BenchStall(const Options& options) {
  Result beside = BenchHandOver(options, kBeside);
  beside.name = "stall";
  beside.what = "what a save in shared memory stops training for / memcpy into warm memory";
  beside.target = 1.25;
  beside.aim = 1.1;
  // The file system is still busy with the removal of the last but one.
  Result in_place = BenchHandOver(options, kInPlace);
  in_place.name = "stall/in place";
  in_place.what = "the same for saves right after each other, each in the place of the last one";
  in_place.target = 2.5;
  in_place.aim = 1.25;
  return {beside, in_place};
}

}  // namespace ckpt::bench
