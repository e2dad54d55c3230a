// ckptbench: how fast ckptd is, as ratios to baselines measured in the same run.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iterator>
#include <string>
#include <vector>

#include "tests/bench/benches.h"
#include "tests/bench/machine.h"
#include "tests/bench/noop_server.h"

namespace {

using ckpt::bench::Options;
using ckpt::bench::Result;

struct Bench {
  const char* name;
  const char* description;
  std::vector<Result> (*run)(const Options&);
  bool scale = false;  // of --scale
};

constexpr Bench kBenches[] = {
    {"stall", "What a save in shared memory stops training for", ckpt::bench::BenchStall},
    {"peers", "A save, beside what a trainer can do by itself", ckpt::bench::BenchPeers},
    {"persist", "From shared memory into a durable checkpoint", ckpt::bench::BenchPersist},
    {"memory", "Memory of the daemon while it takes a large checkpoint", ckpt::bench::BenchMemory},
    {"upload", "gRPC upload into a durable checkpoint", ckpt::bench::BenchUpload},
    {"fetch", "gRPC download, verified", ckpt::bench::BenchFetch},
    {"trainer", "What a training loses to its saves", ckpt::bench::BenchTrainer},
    {"idle", "What 1,000 idle runs cost", ckpt::bench::BenchIdle},
    {"events", "Durable metric events", ckpt::bench::BenchEvents},
    {"history", "The newest points of a metric, and what a point takes on the disk",
     ckpt::bench::BenchHistory},
    {"decision", "Time to a decision, idle and under load", ckpt::bench::BenchDecision},
    {"scale-runs", "10 to 1,000 runs that stream", ckpt::bench::BenchScaleRuns, true},
    {"scale-series", "10^4 to 10^7 points of a metric", ckpt::bench::BenchScaleSeries, true},
    {"scale-checkpoints", "10^3 to 10^6 checkpoints of a run", ckpt::bench::BenchScaleCheckpoints,
     true},
};

constexpr const char* kFooter =
    R"(Without a name, all of them but scale-…; with --scale, those alone. Examples:
  ckptbench                      everything
  ckptbench --scale              how it grows, in a few minutes
  ckptbench --quick --json       a first look, for programs
  ckptbench upload --size 2048   one, with checkpoints of 2 GiB

Exit codes: 0 every target reached, 1 one was missed or could not be measured, 2 wrong usage.)";

// Sizes with which everything, or all of --scale, is measured in under two minutes.
void MakeQuick(Options& options) {
  options.bytes = 128LL << 20;
  options.pairs = 3;
  options.events = 500'000;
  options.decisions = 500;
  options.long_history = 1'000'000;
  options.large_bytes = 1LL << 30;
  options.scale_points.pop_back();
  options.scale_checkpoints.pop_back();
}

// What to measure: what is named, or else all that is of --scale or all that is not.
std::vector<Bench> Chosen(const std::vector<std::string>& names, bool scale) {
  std::vector<Bench> chosen;
  std::copy_if(std::begin(kBenches), std::end(kBenches), std::back_inserter(chosen),
               [&](const Bench& bench) {
                 return names.empty()
                            ? bench.scale == scale
                            : std::find(names.begin(), names.end(), bench.name) != names.end();
               });
  return chosen;
}

int Run(const std::vector<Bench>& benches, const Options& options, bool json) {
  ckpt::bench::TouchMemory(3 * options.large_bytes);
  std::vector<Result> results;
  for (const Bench& bench : benches) {
    std::fprintf(stderr, "%s …\n", bench.name);
    for (Result& result : bench.run(options)) results.push_back(std::move(result));
  }
  if (!json) std::printf("%s\n\n", ckpt::bench::DescribeMachine().c_str());
  std::fputs((json ? ToJson(results) : ToTable(results)).c_str(), stdout);
  const bool passed = std::all_of(results.begin(), results.end(),
                                  [](const Result& result) { return result.pass(); });
  return passed ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"ckptbench: how fast ckptd is, beside baselines measured in the same run",
               "ckptbench"};
  app.footer(kFooter);
  app.require_subcommand(0, std::size(kBenches));
  app.fallthrough();
  Options options;
  int64_t size_mib = 0;
  int pairs = 0;
  bool quick = false;
  bool json = false;
  bool scale = false;
  app.add_flag("--quick", quick, "Small sizes and few rounds: all in under two minutes");
  app.add_flag("--scale", scale, "How it grows; with --quick to 10^6 points, 10^5 checkpoints");
  app.add_flag("--json", json, "Print JSON");
  app.add_option("--size", size_mib, "MiB of a checkpoint (default 512)")
      ->check(CLI::Range(1, 16384));
  app.add_option("--pairs", pairs, "Rounds of product and baseline (default 5)")
      ->check(CLI::Range(1, 1000));
  app.add_option("--folder", options.folder, "Folder on the disk to measure (default /tmp)")
      ->check(CLI::ExistingDirectory);
  for (const Bench& bench : kBenches) app.add_subcommand(bench.name, bench.description);
  std::string noop_address;
  app.add_subcommand("serve-noop", "Be the baseline's server")
      ->group("")  // for ckptbench itself
      ->add_option("address", noop_address)
      ->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked = error.get_exit_code() == 0;
    app.exit(error);
    return asked ? 0 : 2;
  }
  if (!noop_address.empty()) return ckpt::bench::ServeNoop(noop_address);
  if (quick) MakeQuick(options);
  if (size_mib > 0) options.bytes = size_mib << 20;
  if (pairs > 0) options.pairs = pairs;
  std::vector<std::string> names;
  for (const CLI::App* chosen : app.get_subcommands()) names.push_back(chosen->get_name());
  return Run(Chosen(names, scale), options, json);
}
