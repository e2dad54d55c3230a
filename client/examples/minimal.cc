// The least a trainer has to do. README.md shows this program.
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "ckpt/run.h"

int main() {
  float weight = 0;  // the model: one number that is to become 3

  ckpt::v1::CheckpointPolicy best;
  best.set_name("best");
  best.set_filepath("epoch{epoch:02d}-{val_loss:.3f}.bin");
  best.set_save_best_only(true);

  ckpt::RunOptions options;
  options.run = "minimal";
  options.policies = {best};
  options.weights = [&weight](const ckpt::v1::Checkpoint&) {
    const std::string bytes(reinterpret_cast<const char*>(&weight), sizeof(weight));
    return std::vector{ckpt::PartBytes::Own("weights", bytes)};
  };
  auto run = ckpt::Run::Start(std::move(options));
  absl::Status status = run.status();

  for (int epoch = 0; status.ok() && epoch < 10; ++epoch) {
    weight += 0.3F * (3 - weight);  // "training"
    const double val_loss = std::abs(3.0 - weight);
    status = (*run)->OnEpochEnd(epoch, {{"val_loss", val_loss}}).status();
  }
  if (status.ok()) status = (*run)->OnTrainEnd();
  if (status.ok()) status = (*run)->Close();  // returns when every checkpoint is safe
  if (!status.ok()) std::fprintf(stderr, "minimal: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
