#include <atomic>
#include <future>

#include "ckpt/v1/admin_service.grpc.pb.h"
#include "tests/bench/benches.h"
#include "tests/bench/event_stream.h"
#include "tests/bench/saving_run.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

constexpr double kTail = 0.99;
constexpr double kMicros = 1e6;

template <typename Call>
double TailMicros(int64_t calls, Call call) {
  std::vector<double> times;
  for (int64_t i = 0; i < calls; ++i) {
    const double begin = Now();
    call();
    times.push_back((Now() - begin) * kMicros);
  }
  return Quantile(std::move(times), kTail);
}

// 99th percentiles of a decision and of an empty call, one after the other.
std::vector<Sample> Tails(const Options& options, EventStream& trainer,
                          v1::AdminService::Stub& noop) {
  const auto decide = [&] {
    trainer.SendEpochEnd();
    trainer.AwaitDecision();
  };
  const auto call = [&] {
    grpc::ClientContext context;
    v1::Status status;
    if (!noop.GetStatus(&context, {}, &status).ok()) Fail("the baseline server does not answer");
  };
  TailMicros(options.decisions / 10, decide);  // connects
  TailMicros(options.decisions / 10, call);
  std::vector<Sample> samples;
  for (int i = 0; i < options.pairs; ++i) {
    const double product = TailMicros(options.decisions, decide);
    samples.push_back({.product = product, .baseline = TailMicros(options.decisions, call)});
  }
  return samples;
}

Result Describe(std::vector<Sample> samples, std::string name, std::string what, double target,
                double aim) {
  Result result = Summarize(samples);
  result.name = std::move(name);
  result.what = std::move(what);
  result.unit = "us p99";
  result.better = Better::kLower;
  result.target = target;
  result.aim = aim;
  return result;
}

}  // namespace

std::vector<Result> BenchDecision(const Options& options) {
  Servers servers(options);
  EventStream trainer(Connect(servers.daemon().server()));
  trainer.Hello("decision");
  const auto noop = v1::AdminService::NewStub(Connect(servers.noop_server()));
  std::vector<Result> results = {Describe(Tails(options, trainer, *noop), "decision/idle",
                                          "decision / empty unary call, idle", 1.5, 1.2)};

  const std::string weights = MakeWeights(options.bytes);
  SavingRun run(servers.daemon().server(), "load", weights, Way::kGrpc);
  std::atomic<bool> stop = false;
  auto uploads = std::async(std::launch::async, [&] {
    while (!stop) run.Save();
  });
  results.push_back(Describe(Tails(options, trainer, *noop), "decision/upload",
                             "decision / empty unary call, while uploads run", 2, 1.5));
  stop = true;
  uploads.wait();
  return results;
}

}  // namespace ckpt::bench
