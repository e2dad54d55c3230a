#include "tests/bench/saving_run.h"

#include <cstring>
#include <random>
#include <utility>

#include "tests/bench/servers.h"

namespace ckpt::bench {

SavingRun::SavingRun(const std::string& server, const std::string& run, std::string_view weights,
                     Way way, const std::string& filepath) {
  v1::CheckpointPolicy policy;
  policy.set_name("last");
  policy.set_filepath(filepath);
  RunOptions options;
  options.server = server;
  options.run = run;
  options.policies = {policy};
  options.weights = [weights, way](const v1::Checkpoint&) {
    if (way == Way::kGrpcCopied) return std::vector{PartBytes::Borrow("weights", weights)};
    // It lives longer than the run: by gRPC, it need not be copied.
    const std::shared_ptr<const void> owner(std::shared_ptr<void>(), weights.data());
    return std::vector{PartBytes{"weights", weights, owner}};
  };
  options.shared_memory = way == Way::kSharedMemory;
  options.notify = [](std::string_view notice) { Fail(std::string(notice)); };
  auto started = Run::Start(std::move(options));
  if (!started.ok()) Fail(started.status().ToString());
  run_ = *std::move(started);
}

void SavingRun::Save() {
  HandOver();
  AwaitDurable();
}

void SavingRun::OnBatchEnd() {
  const absl::Status status = run_->OnBatchEnd(batch_++, {{"loss", 1.0}}).status();
  if (!status.ok()) Fail(status.ToString());
}

void SavingRun::HandOver() {
  const absl::Status status = run_->OnEpochEnd(epoch_++, {{"loss", 1.0}}).status();
  if (!status.ok()) Fail(status.ToString());
}

void SavingRun::AwaitDurable() {
  if (const absl::Status status = run_->Flush(); !status.ok()) Fail(status.ToString());
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
