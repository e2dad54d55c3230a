// Trains a small network on hand-written digits and lets ckptd decide which checkpoints to keep.
//
// This is what a real trainer's use of ckptd looks like: report each batch and epoch, hand over the
// weights when asked, and after a crash go on from the latest checkpoint as if nothing had
// happened.

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/client.h"
#include "ckpt/run.h"
#include "client/examples/train_digits/dataset.h"
#include "client/examples/train_digits/read_file.h"
#include "client/examples/train_digits/training.h"
#include "fmt/format.h"

namespace ckpt::examples {
namespace {

struct Flags {
  std::string data = TRAIN_DIGITS_CSV;
  int64_t epochs = 20;
  Hyperparameters hyperparameters;
  std::string server;
  std::string run = "digits";
  bool resume = false;
  std::vector<std::string> policies;
  std::string evaluate;
};

// The two policies of this example: the best so far by validation loss, and a safety net within
// epochs. Each is what one ModelCheckpoint(...) is in Keras.
std::vector<v1::CheckpointPolicy> DefaultPolicies() {
  v1::CheckpointPolicy best;
  best.set_name("best");
  best.set_filepath("weights.{epoch:02d}-{val_loss:.4f}.safetensors");
  best.set_monitor("val_loss");
  best.set_save_best_only(true);
  best.set_verbose(1);

  v1::CheckpointPolicy every50;
  every50.set_name("every50");
  every50.set_filepath("step/epoch{epoch:02d}-batch{batch:03d}.safetensors");
  every50.mutable_save_freq()->set_number_value(50);
  return {best, every50};
}

// Brings `training` to the latest checkpoint of the run. Returns its id; empty if there is none
// yet.
absl::StatusOr<std::string> Resume(const Flags& flags, Training& training) {
  Client client({.server = flags.server});
  const absl::StatusOr<v1::Checkpoint> latest = client.GetCheckpoint(flags.run, "latest");
  if (absl::IsNotFound(latest.status())) {
    fmt::print("no checkpoint yet, starting from the beginning\n");
    return std::string();
  }
  if (!latest.ok()) return latest.status();
  std::string id = latest->name().substr(latest->name().rfind('/') + 1);
  const absl::StatusOr<std::string> bytes = client.Read(flags.run, id);
  if (!bytes.ok()) return bytes.status();
  if (absl::Status status = training.Restore(*bytes); !status.ok()) return status;
  fmt::print("resuming from {}: epoch {}, after {} of {} batches\n", latest->name(),
             training.epoch() + 1, training.batch(), training.batches_per_epoch());
  return id;
}

absl::StatusOr<std::unique_ptr<Run>> Connect(const Flags& flags, const std::string& resumed_from,
                                             const Training& training) {
  RunOptions options;
  options.server = flags.server;
  options.run = flags.run;
  options.start = flags.resume ? RunOptions::StartMode::kResume : RunOptions::StartMode::kCreate;
  options.policy_names = flags.policies;
  if (flags.policies.empty()) options.policies = DefaultPolicies();
  options.labels = {{"example", "train_digits"}};
  options.resumed_from = resumed_from;
  options.weights = [&training](const v1::Checkpoint& save) {
    std::vector<PartBytes> parts;
    parts.push_back(PartBytes::Own("weights", training.Save(save.payload())));
    return parts;
  };
  return Run::Start(std::move(options));
}

// Trains what is left of the current epoch.
absl::Status TrainEpoch(const Flags& flags, Training& training, Run& run) {
  const int64_t epoch = training.epoch();
  if (absl::Status status = run.OnEpochBegin(epoch); !status.ok()) return status;
  while (training.batch() < training.batches_per_epoch()) {
    training.TrainBatch();
    const Score& score = training.epoch_score();
    const auto decision = run.OnBatchEnd(
        training.batch() - 1, {{"loss", score.mean_loss()}, {"accuracy", score.accuracy()}});
    if (!decision.ok()) return decision.status();
  }
  const Score train = training.epoch_score();
  const Score validation = training.EndEpoch();
  fmt::print(
      "Epoch {}/{} - loss: {:.4f} - accuracy: {:.4f} - val_loss: {:.4f} - val_accuracy: {:.4f}\n",
      epoch + 1, flags.epochs, train.mean_loss(), train.accuracy(), validation.mean_loss(),
      validation.accuracy());
  return run
      .OnEpochEnd(epoch, {{"loss", train.mean_loss()},
                          {"accuracy", train.accuracy()},
                          {"val_loss", validation.mean_loss()},
                          {"val_accuracy", validation.accuracy()}})
      .status();
}

// In full precision, so that two runs can be compared to the last bit.
void PrintScore(const Score& score) {
  fmt::print("val_loss {} val_accuracy {}\n", score.mean_loss(), score.accuracy());
}

absl::Status Train(const Flags& flags, const Dataset& data) {
  Training training(data, flags.hyperparameters);
  std::string resumed_from;
  if (flags.resume) {
    absl::StatusOr<std::string> id = Resume(flags, training);
    if (!id.ok()) return id.status();
    resumed_from = *std::move(id);
  }
  absl::StatusOr<std::unique_ptr<Run>> run = Connect(flags, resumed_from, training);
  if (!run.ok()) return run.status();
  if (absl::Status status = (*run)->OnTrainBegin(); !status.ok()) return status;
  while (training.epoch() < flags.epochs) {
    if (absl::Status status = TrainEpoch(flags, training, **run); !status.ok()) return status;
  }
  if (absl::Status status = (*run)->OnTrainEnd(); !status.ok()) return status;
  PrintScore(training.Validate());
  return (*run)->Close();
}

absl::Status Evaluate(const Flags& flags, const Dataset& data) {
  const absl::StatusOr<std::string> bytes = ReadFile(flags.evaluate);
  if (!bytes.ok()) return bytes.status();
  const absl::StatusOr<Score> score = EvaluateFile(data, *bytes);
  if (!score.ok()) return score.status();
  PrintScore(*score);
  return absl::OkStatus();
}

absl::Status Main(const Flags& flags) {
  const absl::StatusOr<Dataset> data = LoadDigits(flags.data);
  if (!data.ok()) return data.status();
  return flags.evaluate.empty() ? Train(flags, *data) : Evaluate(flags, *data);
}

void Declare(CLI::App& app, Flags& flags) {
  Hyperparameters& parameters = flags.hyperparameters;
  app.add_option("--data", flags.data, "Images and labels, CSV")->capture_default_str();
  app.add_option("--epochs", flags.epochs, "Epochs to train in all")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--batch-size", parameters.batch_size, "Images a step")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--lr", parameters.learning_rate, "Learning rate of Adam")
      ->capture_default_str()
      ->check(CLI::Range(1, std::numeric_limits<int>::max()).description(""));
  app.add_option("--seed", parameters.seed, "Seed of everything random")->capture_default_str();
  app.add_option("--server,-s", flags.server,
                 "ckptd's address, HOST:PORT or unix:PATH (default: $CKPT_SERVER, 127.0.0.1:7070)");
  app.add_option("--run", flags.run, "Name of the run")->capture_default_str();
  app.add_flag("--resume", flags.resume, "Go on from the run's latest checkpoint");
  app.add_option("--policy", flags.policies,
                 "Policy of the daemon's configuration, instead of this example's own; repeatable");
  app.add_option("--evaluate", flags.evaluate,
                 "Score a fetched checkpoint on the validation images, and do not train");
}

}  // namespace
}  // namespace ckpt::examples

int main(int argc, char** argv) {
  // Line by line, so that a log shows where training is even when it goes to a file or a pipe.
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  ckpt::examples::Flags flags;
  CLI::App app("Trains a small network on hand-written digits, with checkpoints kept by ckptd.",
               "train_digits");
  ckpt::examples::Declare(app, flags);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = ckpt::examples::Main(flags);
  if (status.ok()) return EXIT_SUCCESS;
  fmt::print(stderr, "train_digits: {}\n", std::string(status.message()));
  return EXIT_FAILURE;
}
