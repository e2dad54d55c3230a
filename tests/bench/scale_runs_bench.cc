#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/bench/benches.h"
#include "tests/bench/event_stream.h"
#include "tests/bench/machine.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

constexpr int64_t kEventsPerMessage = 64;
constexpr double kMicros = 1e6;

// What one round of events took.
struct Figures {
  double rate = 0;    // durable events a second
  double micros = 0;  // CPU time of the daemon for each
  double mib = 0;     // its resident memory afterwards
};

// A daemon with `runs` connected trainers.
class Fleet {
 public:
  Fleet(const Options& options, int64_t runs) : servers_(options), runs_(runs) {
    const auto channel = Connect(servers_.daemon().server());
    for (int64_t run = 0; run < runs; ++run) {
      trainers_.push_back(std::make_unique<EventStream>(channel));
      trainers_.back()->Hello(fmt::format("fleet-{}", run));
    }
  }

  int64_t runs() const { return runs_; }

  // `messages` in all, so that as much is under way however many share them, again and again until
  // `events` are durable.
  Figures Stream(int64_t messages, int64_t events) {
    const pid_t daemon = servers_.daemon().pid();
    const double cpu_begin = CpuSeconds(daemon);
    const double begin = Now();
    int64_t sent = 0;
    for (; sent < events; sent += messages * kEventsPerMessage) StreamRound(messages / runs_);
    const auto count = static_cast<double>(sent);
    return {.rate = count / (Now() - begin),
            .micros = (CpuSeconds(daemon) - cpu_begin) * kMicros / count,
            .mib = static_cast<double>(ResidentMemory(daemon)) / (1 << 20)};
  }

 private:
  void StreamRound(int64_t messages_each) {
    for (int64_t message = 0; message < messages_each; ++message) {
      for (const auto& trainer : trainers_) trainer->SendBatchEnds(kEventsPerMessage);
    }
    for (const auto& trainer : trainers_) trainer->AwaitDurable();
  }

  Servers servers_;
  const int64_t runs_;
  std::vector<std::unique_ptr<EventStream>> trainers_;
};

struct Measure {
  const char* name;
  const char* what;
  const char* unit;
  double Figures::*figure;
  Better better;
  double target;
};
constexpr Measure kMeasures[] = {
    {"rate", "durable events a second", "events/s", &Figures::rate, Better::kHigher, 0.67},
    {"cpu", "CPU time of the daemon for an event", "us", &Figures::micros, Better::kLower, 1.5},
    {"memory", "resident memory of the daemon", "MiB", &Figures::mib, Better::kLower, 1.5},
};

}  // namespace

std::vector<Result> BenchScaleRuns(const Options& options) {
  const int64_t messages = options.scale_runs.back();
  std::vector<std::unique_ptr<Fleet>> fleets;
  for (const int64_t runs : options.scale_runs) {
    fleets.push_back(std::make_unique<Fleet>(options, runs));
  }
  std::vector<std::vector<Figures>> figures(fleets.size());
  for (int i = 0; i <= options.pairs; ++i) {
    for (size_t fleet = 0; fleet < fleets.size(); ++fleet) {
      const Figures found = fleets[fleet]->Stream(messages, options.events / 10);
      if (i > 0) figures[fleet].push_back(found);  // the first round gives processes their memory
    }
  }
  std::vector<Result> results;
  for (const Measure& measure : kMeasures) {
    for (size_t fleet = 1; fleet < fleets.size(); ++fleet) {
      std::vector<Sample> samples;
      for (int i = 0; i < options.pairs; ++i) {
        const auto pair = static_cast<size_t>(i);
        samples.push_back({.product = figures[fleet][pair].*measure.figure,
                           .baseline = figures[0][pair].*measure.figure});
      }
      Result result = Summarize(samples);
      result.name = fmt::format("scale/{}/{}", measure.name, fleets[fleet]->runs());
      result.what = fmt::format("{} while {} runs stream / while {} do", measure.what,
                                fleets[fleet]->runs(), fleets[0]->runs());
      result.unit = measure.unit;
      result.better = measure.better;
      result.target = measure.target;
      results.push_back(result);
    }
  }
  return results;
}

}  // namespace ckpt::bench
