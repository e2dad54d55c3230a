#include <algorithm>

#include "tests/bench/benches.h"
#include "tests/bench/machine.h"
#include "tests/bench/raw_writers.h"
#include "tests/bench/saving_run.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

double BestRaw(const std::string& path, std::string_view bytes) {
  std::optional<double> best;
  for (const RawWriter writer : {RawWriter::kPaced, RawWriter::kDirect, RawWriter::kDontCache}) {
    const std::optional<double> seconds = TimeToWrite(writer, path, bytes);
    if (seconds.has_value()) best = std::min(best.value_or(*seconds), *seconds);
  }
  return *best;  // paced writes are known everywhere
}

}  // namespace

std::vector<Result> BenchPersist(const Options& options) {
  const AlignedBytes weights(MakeWeights(options.bytes));
  const double gigabytes = static_cast<double>(weights.view().size()) / 1e9;
  Servers servers(options);
  const std::string path = servers.PathOf("raw");
  SavingRun run(servers.daemon().server(), "persist", weights.view(), Way::kSharedMemory);
  run.Save();  // connects, and makes the slot
  TimeToWrite(RawWriter::kNaive, path, weights.view());

  std::vector<Sample> naive;
  std::vector<Sample> best;
  std::vector<double> cpu;
  for (int i = 0; i < options.pairs; ++i) {
    // From the moment that the memory is ready.
    run.HandOver();
    const double cpu_begin = CpuSeconds(servers.daemon().pid());
    const double begin = Now();
    run.AwaitDurable();
    const double product = gigabytes / (Now() - begin);
    cpu.push_back((CpuSeconds(servers.daemon().pid()) - cpu_begin) / gigabytes);
    naive.push_back({product, gigabytes / *TimeToWrite(RawWriter::kNaive, path, weights.view())});
    best.push_back({product, gigabytes / BestRaw(path, weights.view())});
  }
  Result over_naive = Summarize(naive);
  over_naive.name = "persist";
  over_naive.what = "shared memory to durable, hashed / naive write(1 MiB) and fdatasync";
  over_naive.unit = "GB/s";
  over_naive.target = 1.2;
  over_naive.aim = 1.6;
  over_naive.cpu_seconds_per_gb = Median(cpu);
  Result of_best = Summarize(best);
  of_best.name = "persist raw";
  of_best.what = "the same / the best of paced, direct and uncached raw writers, unhashed";
  of_best.unit = "GB/s";
  of_best.target = 0.85;
  of_best.aim = 0.95;
  return {over_naive, of_best};
}

}  // namespace ckpt::bench
