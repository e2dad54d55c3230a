#include <fmt/format.h>

#include "tests/bench/benches.h"
#include "tests/bench/machine.h"
#include "tests/bench/raw_writers.h"
#include "tests/bench/saving_run.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

struct Raw {
  RawWriter writer;
  const char* name;
  std::vector<Sample> samples;  // none where the system does not know this way
};

// Of the writers, the one that the product compares worst with. (The best of each round by itself
// would be a faster writer than any there is.)
Result OfBest(const std::vector<Raw>& raws) {
  std::optional<Result> of_best;
  for (const Raw& raw : raws) {
    if (raw.samples.empty()) continue;
    Result result = Summarize(raw.samples);
    if (of_best.has_value() && of_best->ratio <= result.ratio) continue;
    result.what = fmt::format("the same / the best raw, unhashed writer, here {}", raw.name);
    of_best = std::move(result);
  }
  return *of_best;  // paced writes are known everywhere
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
  std::vector<Raw> raws = {{RawWriter::kPaced, "paced", {}},
                           {RawWriter::kDirect, "direct", {}},
                           {RawWriter::kDontCache, "uncached", {}}};
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
    for (Raw& raw : raws) {
      const auto seconds = TimeToWrite(raw.writer, path, weights.view());
      if (seconds.has_value()) raw.samples.push_back({product, gigabytes / *seconds});
    }
  }
  Result over_naive = Summarize(naive);
  over_naive.name = "persist";
  over_naive.what = "shared memory to durable, hashed / naive write(1 MiB) and fdatasync";
  over_naive.unit = "GB/s";
  over_naive.target = 1.2;
  over_naive.aim = 1.6;
  over_naive.cpu_seconds_per_gb = Median(cpu);
  Result of_best = OfBest(raws);
  of_best.name = "persist raw";
  of_best.unit = "GB/s";
  of_best.target = 0.85;
  of_best.aim = 0.95;
  return {over_naive, of_best};
}

}  // namespace ckpt::bench
