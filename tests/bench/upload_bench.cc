#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "ckpt/v1/weight_service.grpc.pb.h"
#include "tests/bench/benches.h"
#include "tests/bench/machine.h"
#include "tests/bench/noop_server.h"
#include "tests/bench/saving_run.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

void StreamToNoop(v1::WeightService::Stub& stub, std::string_view weights) {
  grpc::ClientContext context;
  const auto stream = stub.Upload(&context);
  v1::UploadRequest request;
  v1::UploadChunk& chunk = *request.mutable_chunk();
  for (size_t offset = 0; offset < weights.size(); offset += kChunkBytes) {
    chunk.set_offset(static_cast<int64_t>(offset));
    chunk.mutable_data()->assign(weights.substr(offset, kChunkBytes));
    if (!stream->Write(request)) Fail("the baseline server ended the stream");
  }
  stream->WritesDone();
  v1::UploadResponse response;
  while (stream->Read(&response)) {
  }
  if (const grpc::Status status = stream->Finish(); !status.ok()) Fail(status.error_message());
}

}  // namespace

std::vector<Result> BenchUpload(const Options& options) {
  const std::string weights = MakeWeights(options.bytes);
  const double gigabytes = static_cast<double>(weights.size()) / 1e9;
  Servers servers(options);
  SavingRun run(servers.daemon().server(), "upload", weights, Way::kGrpc);
  const auto noop = v1::WeightService::NewStub(Connect(servers.noop_server()));
  run.Save();  // connects, and gives the processes their memory
  StreamToNoop(*noop, weights);

  std::vector<Sample> samples;
  std::vector<double> cpu;
  const auto cpu_seconds = [&] {
    return CpuSeconds(servers.daemon().pid()) + CpuSeconds(getpid());
  };
  for (int i = 0; i < options.pairs; ++i) {
    Sample sample;
    double cpu_begin = cpu_seconds();
    double begin = Now();
    run.Save();
    sample.product = gigabytes / (Now() - begin);
    cpu.push_back((cpu_seconds() - cpu_begin) / gigabytes);
    begin = Now();
    StreamToNoop(*noop, weights);
    sample.baseline = gigabytes / (Now() - begin);
    samples.push_back(sample);
  }
  Result result = Summarize(samples);
  result.name = "upload";
  result.what = "gRPC upload, hashed and durable / no-op gRPC stream of the same chunks";
  result.unit = "GB/s";
  result.target = 0.7;
  result.aim = 0.9;
  result.cpu_seconds_per_gb = Median(cpu);
  return {result};
}

}  // namespace ckpt::bench
