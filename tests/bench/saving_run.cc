#include "tests/bench/saving_run.h"

#include <cstring>
#include <random>
#include <utility>

#include "tests/bench/servers.h"

namespace ckpt::bench {

SavingRun::SavingRun(const std::string& server, const std::string& run, std::string_view weights) {
  v1::CheckpointPolicy policy;
  policy.set_name("last");
  policy.set_filepath("last.bin");
  RunOptions options;
  options.server = server;
  options.run = run;
  options.policies = {policy};
  options.weights = [weights](const v1::Checkpoint&) {
    return std::vector{PartBytes{"weights", weights, nullptr}};
  };
  auto started = Run::Start(std::move(options));
  if (!started.ok()) Fail(started.status().ToString());
  run_ = *std::move(started);
}

void SavingRun::Save() {
  absl::Status status = run_->OnEpochEnd(epoch_++, {{"loss", 1.0}}).status();
  if (status.ok()) status = run_->Flush();
  if (!status.ok()) Fail(status.ToString());
}

std::string MakeWeights(int64_t bytes) {
  std::string weights(static_cast<size_t>(bytes), '\0');
  std::mt19937_64 random(1);  // NOLINT(cert-msc51-cpp): the same weights in every measurement
  for (size_t at = 0; at + sizeof(uint64_t) <= weights.size(); at += sizeof(uint64_t)) {
    const uint64_t value = random();
    std::memcpy(weights.data() + at, &value, sizeof(value));
  }
  return weights;
}

}  // namespace ckpt::bench
