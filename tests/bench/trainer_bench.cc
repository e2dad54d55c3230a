#include <algorithm>
#include <vector>

#include "tests/bench/benches.h"
#include "tests/bench/machine.h"
#include "tests/bench/saving_run.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

constexpr int64_t kBatches = 20'000;
constexpr double kAllowedMicros = 5;
constexpr size_t kParameters = 1 << 20;  // 4 MiB: more than a core's own cache

// A training that keeps one core busy: each step reads and writes all its parameters, and reports.
class Trainer {
 public:
  explicit Trainer(SavingRun& run) : run_(run), parameters_(kParameters, 1.0F) {}

  // Steps a second, over about `seconds`.
  double Train(double seconds) {
    const double begin = Now();
    int64_t steps = 0;
    do {
      for (float& parameter : parameters_) parameter = parameter * 0.999F + 0.001F;
      run_.OnBatchEnd();
      ++steps;
    } while (Now() - begin < seconds);
    return static_cast<double>(steps) / (Now() - begin);
  }

 private:
  SavingRun& run_;
  std::vector<float> parameters_;
};

Result BatchEnds(const Options& options, SavingRun& run) {
  std::vector<Sample> samples;
  for (int i = 0; i < options.pairs; ++i) {
    const double begin = Now();
    for (int64_t batch = 0; batch < kBatches; ++batch) run.OnBatchEnd();
    samples.push_back({.product = (Now() - begin) / kBatches * 1e6, .baseline = kAllowedMicros});
    run.AwaitDurable();
  }
  Result result = Summarize(samples);
  result.name = "batch end";
  result.what = "what a batch's end costs the trainer when no decision is due / the 5 us allowed";
  result.unit = "us";
  result.better = Better::kLower;
  result.target = 1;
  return result;
}

Result StepsWhileSaving(const Options& options, SavingRun& run) {
  Trainer trainer(run);
  const double begin = Now();
  run.Save();
  const double window = 0.8 * (Now() - begin);  // the next save takes longer than this
  trainer.Train(window);
  std::vector<Sample> samples;
  for (int i = 0; i < options.pairs; ++i) {
    run.HandOver();
    const double saving = trainer.Train(window);
    run.AwaitDurable();
    samples.push_back({.product = saving, .baseline = trainer.Train(window)});
  }
  Result result = Summarize(samples);
  result.name = "steps";
  result.what = "training steps while a large save becomes durable / while nothing is saved";
  result.unit = "1/s";
  result.target = 0.95;
  return result;
}

}  // namespace

std::vector<Result> BenchTrainer(const Options& options) {
  const std::string weights = MakeWeights(options.large_bytes);
  Servers servers(options);
  SavingRun run(servers.daemon().server(), "trainer", weights, Way::kSharedMemory);
  run.Save();  // connects, and makes the slot
  return {BatchEnds(options, run), StepsWhileSaving(options, run)};
}

}  // namespace ckpt::bench
