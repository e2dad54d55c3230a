#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/benches.h"
#include "tests/bench/event_stream.h"
#include "tests/bench/machine.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

constexpr int kRuns = 1000;
constexpr std::chrono::seconds kWindow(5);
constexpr double kAllowedMillis = 5;  // of CPU time a second: half a percent of a core
constexpr double kAllowedMib = 80;

}  // namespace

std::vector<Result> BenchIdle(const Options& options) {
  Servers servers(options);
  const pid_t daemon = servers.daemon().pid();
  const auto channel = Connect(servers.daemon().server());
  std::vector<std::unique_ptr<EventStream>> trainers;
  for (int run = 0; run < kRuns; ++run) {
    EventStream& trainer = *trainers.emplace_back(std::make_unique<EventStream>(channel));
    trainer.Hello("idle-" + std::to_string(run));
    trainer.SendEpochEnd();
    trainer.AwaitDecision();
  }
  std::vector<Sample> cpu;
  std::vector<Sample> memory;
  for (int i = 0; i < options.pairs; ++i) {
    const double before = CpuSeconds(daemon);
    std::this_thread::sleep_for(kWindow);  // a time in which nothing happens is what is measured
    const double used = CpuSeconds(daemon) - before;
    const double seconds = std::chrono::duration<double>(kWindow).count();
    cpu.push_back({.product = used / seconds * 1e3, .baseline = kAllowedMillis});
    memory.push_back({.product = static_cast<double>(ResidentMemory(daemon)) / (1 << 20),
                      .baseline = kAllowedMib});
  }
  Result idle = Summarize(cpu);
  idle.name = "idle";
  idle.what = "CPU time of a daemon with 1,000 idle runs, a second / the 5 ms allowed";
  idle.unit = "ms";
  idle.better = Better::kLower;
  idle.target = 1;
  Result resident = Summarize(memory);
  resident.name = "idle memory";
  resident.what = "its resident memory / the 80 MiB allowed";
  resident.unit = "MiB";
  resident.better = Better::kLower;
  resident.target = 1;
  return {idle, resident};
}

}  // namespace ckpt::bench
