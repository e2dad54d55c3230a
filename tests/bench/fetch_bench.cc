#include <unistd.h>

#include "ckpt/client.h"
#include "ckpt/v1/weight_service.grpc.pb.h"
#include "tests/bench/benches.h"
#include "tests/bench/machine.h"
#include "tests/bench/saving_run.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

void StreamFromNoop(v1::WeightService::Stub& stub, int64_t bytes) {
  grpc::ClientContext context;
  v1::DownloadRequest request;
  request.set_length(bytes);
  const auto stream = stub.Download(&context, request);
  v1::DownloadResponse response;
  while (stream->Read(&response)) {
  }
  if (const grpc::Status status = stream->Finish(); !status.ok()) Fail(status.error_message());
}

}  // namespace

std::vector<Result> BenchFetch(const Options& options) {
  const std::string weights = MakeWeights(options.bytes);
  const double gigabytes = static_cast<double>(weights.size()) / 1e9;
  Servers servers(options);
  SavingRun(servers.daemon().server(), "fetch", weights, Way::kGrpc).Save();
  Client client({.server = servers.daemon().server()});
  const auto noop = v1::WeightService::NewStub(Connect(servers.noop_server()));

  std::vector<Sample> samples;
  std::vector<double> cpu;
  const auto cpu_seconds = [&] {
    return CpuSeconds(servers.daemon().pid()) + CpuSeconds(getpid());
  };
  for (int i = 0; i <= options.pairs; ++i) {
    Sample sample;
    const double cpu_begin = cpu_seconds();
    double begin = Now();
    if (const auto read = client.Read("fetch", "latest"); !read.ok() || *read != weights) {
      Fail("the checkpoint cannot be read: " + read.status().ToString());
    }
    sample.product = gigabytes / (Now() - begin);
    const double cpu_used = (cpu_seconds() - cpu_begin) / gigabytes;
    begin = Now();
    StreamFromNoop(*noop, options.bytes);
    sample.baseline = gigabytes / (Now() - begin);
    if (i == 0) continue;  // the first one connects
    samples.push_back(sample);
    cpu.push_back(cpu_used);
  }
  Result result = Summarize(samples);
  result.name = "fetch";
  result.what = "gRPC download into memory, verified / no-op gRPC stream of the same chunks";
  result.unit = "GB/s";
  result.target = 0.7;
  result.aim = 0.9;
  result.cpu_seconds_per_gb = Median(cpu);
  return {result};
}

}  // namespace ckpt::bench
