#include <cstdio>

#include "tests/bench/benches.h"
#include "tests/bench/machine.h"
#include "tests/bench/saving_run.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

constexpr double kMib = 1 << 20;

double PeakWhileSaving(const Options& options, int64_t bytes, double* growth) {
  const std::string weights = MakeWeights(bytes);
  Servers servers(options);
  const pid_t daemon = servers.daemon().pid();
  SavingRun run(servers.daemon().server(), "memory", weights, Way::kGrpc);
  ResetPeakMemory(daemon);
  const int64_t idle = ResidentMemory(daemon);
  run.Save();
  const int64_t peak = PeakMemory(daemon);
  *growth = static_cast<double>(peak - idle) / kMib;
  return static_cast<double>(peak) / kMib;
}

}  // namespace

std::vector<Result> BenchMemory(const Options& options) {
  std::vector<Sample> samples;
  std::vector<double> growths;
  for (int i = 0; i < options.pairs; ++i) {
    double growth = 0;
    Sample sample;
    sample.baseline = PeakWhileSaving(options, options.small_bytes, &growth);
    sample.product = PeakWhileSaving(options, options.large_bytes, &growth);
    samples.push_back(sample);
    growths.push_back(growth);
  }
  Result result = Summarize(samples);
  result.name = "memory";
  result.what = "peak RSS of the daemon taking the large checkpoint / taking the small one";
  result.unit = "MiB";
  result.better = Better::kLower;
  result.target = 1.1;
  result.aim = 1.02;
  std::fprintf(stderr,
               "memory: taking %.0f MiB, the daemon's peak RSS is %.1f MiB above idle (median)\n",
               static_cast<double>(options.large_bytes) / kMib, Median(growths));
  return {result};
}

}  // namespace ckpt::bench
