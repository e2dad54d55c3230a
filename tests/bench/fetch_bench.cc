#include <unistd.h>

#include <functional>
#include <string_view>

#include "ckpt/client.h"
#include "ckpt/v1/weight_service.grpc.pb.h"
#include "tests/bench/benches.h"
#include "tests/bench/machine.h"
#include "tests/bench/saving_run.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

constexpr char kRun[] = "fetch";

// Reads what the baseline server sends, as many chunks; `take` gets each.
void StreamFromNoop(v1::WeightService::Stub& stub, int64_t bytes,
                    const std::function<void(const std::string&)>& take) {
  grpc::ClientContext context;
  v1::DownloadRequest request;
  request.set_length(bytes);
  const auto stream = stub.Download(&context, request);
  v1::DownloadResponse response;
  while (stream->Read(&response)) take(response.chunk().data());
  if (const grpc::Status status = stream->Finish(); !status.ok()) Fail(status.error_message());
}

using Run = std::function<void()>;

// Runs product and baseline, of a checkpoint of `bytes`, in turn.
Result Measure(const Options& options, pid_t daemon, const Run& product, const Run& baseline) {
  const double gigabytes = static_cast<double>(options.bytes) / 1e9;
  const auto cpu_seconds = [&] { return CpuSeconds(daemon) + CpuSeconds(getpid()); };
  std::vector<Sample> samples;
  std::vector<double> cpu;
  for (int i = 0; i <= options.pairs; ++i) {
    Sample sample;
    const double cpu_begin = cpu_seconds();
    double begin = Now();
    product();
    sample.product = gigabytes / (Now() - begin);
    const double cpu_used = (cpu_seconds() - cpu_begin) / gigabytes;
    begin = Now();
    baseline();
    sample.baseline = gigabytes / (Now() - begin);
    if (i == 0) continue;  // the first one connects
    samples.push_back(sample);
    cpu.push_back(cpu_used);
  }
  Result result = Summarize(samples);
  result.unit = "GB/s";
  result.target = 0.7;
  result.aim = 0.9;
  result.cpu_seconds_per_gb = Median(cpu);
  return result;
}

}  // namespace

std::vector<Result> BenchFetch(const Options& options) {
  const std::string weights = MakeWeights(options.bytes);
  Servers servers(options);
  SavingRun(servers.daemon().server(), kRun, weights, Way::kGrpc).Save();
  Client client({.server = servers.daemon().server()});
  if (client.Read(kRun, "latest").value_or("") != weights) Fail("another checkpoint was read");
  const auto noop = v1::WeightService::NewStub(Connect(servers.noop_server()));
  const pid_t daemon = servers.daemon().pid();

  Result stream = Measure(
      options, daemon,
      [&] {
        const absl::Status status =
            client.Read(kRun, "latest", "", [](std::string_view) { return absl::OkStatus(); });
        if (!status.ok()) Fail("the checkpoint cannot be read: " + status.ToString());
      },
      [&] { StreamFromNoop(*noop, options.bytes, [](const std::string&) {}); });
  stream.name = "fetch";
  stream.what = "gRPC download, verified / no-op gRPC stream of as many chunks";

  Result memory = Measure(
      options, daemon,
      [&] {
        const auto read = client.Read(kRun, "latest");
        if (!read.ok()) Fail("the checkpoint cannot be read: " + read.status().ToString());
      },
      [&] {
        std::string content;
        content.reserve(weights.size());
        StreamFromNoop(*noop, options.bytes, [&](const std::string& chunk) { content += chunk; });
      });
  memory.name = "fetch/memory";
  memory.what = "the same into new memory / no-op gRPC stream into new memory";
  return {stream, memory};
}

}  // namespace ckpt::bench
