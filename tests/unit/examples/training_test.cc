#include "client/examples/train_digits/training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace ckpt::examples {
namespace {

using ::testing::HasSubstr;

constexpr auto kFull = v1::Checkpoint::PAYLOAD_FULL;
constexpr auto kWeights = v1::Checkpoint::PAYLOAD_WEIGHTS;

const Dataset& Digits() {
  static const Dataset* const kDigits = new Dataset(LoadDigits(DIGITS_CSV).value());
  return *kDigits;
}

// Trains until `epoch` and `batch` are the position to go on with.
void TrainUntil(int64_t epoch, int64_t batch, Training* training) {
  while (std::pair(training->epoch(), training->batch()) < std::pair(epoch, batch)) {
    if (training->batch() < training->batches_per_epoch()) {
      training->TrainBatch();
    } else {
      training->EndEpoch();
    }
  }
}

TEST(Training, KnowsItsPosition) {
  Training training(Digits(), {.batch_size = 100});
  EXPECT_EQ(training.batches_per_epoch(), 15);  // the last one is short
  TrainUntil(1, 4, &training);
  EXPECT_EQ(training.epoch(), 1);
  EXPECT_EQ(training.batch(), 4);
  EXPECT_EQ(training.epoch_score().images, 400);
  TrainUntil(1, 15, &training);
  EXPECT_EQ(training.epoch_score().images, 1438);
  EXPECT_EQ(training.EndEpoch().images, 359);
  EXPECT_EQ(training.epoch(), 2);
  EXPECT_EQ(training.batch(), 0);
  EXPECT_EQ(training.epoch_score().images, 0);
}

TEST(Training, Learns) {
  Training training(Digits(), {});
  const double before = training.Validate().mean_loss();
  TrainUntil(5, 0, &training);
  EXPECT_LT(training.Validate().mean_loss(), before / 5);
  EXPECT_GT(training.Validate().accuracy(), 0.9);
}

TEST(Training, SameSeedSameBytesOtherSeedOtherBytes) {
  const auto train = [](uint64_t seed) {
    Training training(Digits(), {.seed = seed});
    TrainUntil(1, 3, &training);
    return training.Save(kFull);
  };
  EXPECT_EQ(train(1), train(1));
  EXPECT_NE(train(1), train(2));
}

TEST(Training, EachEpochHasAnotherOrder) {
  // Learning is switched off, so that the loss of a first batch depends on its images alone.
  Training training(Digits(), {.learning_rate = 1e-300});
  training.TrainBatch();
  const double first = training.epoch_score().loss;
  TrainUntil(1, 1, &training);
  EXPECT_NE(training.epoch_score().loss, first);
}

// The heart of the example: what goes on after a restore is what would have gone on without.
TEST(Training, GoesOnToTheSameBitsFromAnyPosition) {
  Training uninterrupted(Digits(), {.seed = 11});
  const int64_t batches = uninterrupted.batches_per_epoch();
  std::vector<std::string> saved;
  const std::pair<int64_t, int64_t> kPositions[] = {{0, 0},           {0, 1}, {0, batches - 1},
                                                    {0, batches},     {1, 0}, {1, 17},
                                                    {1, batches - 1}, {2, 0}, {2, 1}};
  for (const auto& [epoch, batch] : kPositions) {
    TrainUntil(epoch, batch, &uninterrupted);
    saved.push_back(uninterrupted.Save(kFull));
  }
  TrainUntil(2, batches, &uninterrupted);
  const Score expected_epoch = uninterrupted.epoch_score();
  const Score expected_validation = uninterrupted.EndEpoch();
  for (const std::string& file : saved) {
    Training resumed(Digits(), {.seed = 11});
    TrainUntil(0, 5, &resumed);  // whatever was there before
    ASSERT_TRUE(resumed.Restore(file).ok());
    TrainUntil(2, batches, &resumed);
    EXPECT_EQ(resumed.epoch_score().loss, expected_epoch.loss);
    EXPECT_EQ(resumed.epoch_score().correct, expected_epoch.correct);
    EXPECT_EQ(resumed.EndEpoch().loss, expected_validation.loss);
    EXPECT_EQ(resumed.Save(kFull), uninterrupted.Save(kFull));
  }
}

TEST(Training, RestoresPositionAndRunningAverages) {
  Training training(Digits(), {});
  TrainUntil(1, 7, &training);
  Training restored(Digits(), {});
  ASSERT_TRUE(restored.Restore(training.Save(kFull)).ok());
  EXPECT_EQ(restored.epoch(), 1);
  EXPECT_EQ(restored.batch(), 7);
  EXPECT_EQ(restored.epoch_score().loss, training.epoch_score().loss);
  EXPECT_EQ(restored.epoch_score().images, 7 * 32);
}

std::map<std::string, std::string> MetadataOf(const std::string& file) {
  return DecodeSafeTensors(file).value().metadata;
}

TEST(Training, NamesValidationLossOnlyOfTheWeightsInTheFile) {
  Training training(Digits(), {});
  EXPECT_FALSE(MetadataOf(training.Save(kFull)).contains("val_loss"));
  TrainUntil(0, training.batches_per_epoch(), &training);
  const double val_loss = training.EndEpoch().mean_loss();
  EXPECT_EQ(std::stod(MetadataOf(training.Save(kFull)).at("val_loss")), val_loss);
  training.TrainBatch();
  EXPECT_FALSE(MetadataOf(training.Save(kFull)).contains("val_loss"));
}

TEST(Training, RefusesAFileOfOtherHyperparameters) {
  const std::string file = Training(Digits(), {}).Save(kFull);
  const struct {
    Hyperparameters hyperparameters;
    std::string message;
  } kCases[] = {
      {{.seed = 2}, "it was made with seed 1, not 2"},
      {{.batch_size = 16}, "it was made with batch_size 32, not 16"},
      {{.learning_rate = 0.5}, "it was made with learning_rate 0.005, not 0.5"},
  };
  for (const auto& test_case : kCases) {
    const absl::Status status = Training(Digits(), test_case.hyperparameters).Restore(file);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(test_case.message));
  }
}

// `change` is made to a good file; restoring it must fail and change nothing.
void ExpectRefused(const std::function<void(SafeTensors*)>& change, const std::string& message) {
  Training training(Digits(), {});
  TrainUntil(0, 3, &training);
  SafeTensors content = DecodeSafeTensors(training.Save(kFull)).value();
  change(&content);
  Training other(Digits(), {});
  TrainUntil(0, 1, &other);
  const std::string before = other.Save(kFull);
  const absl::Status status = other.Restore(EncodeSafeTensors(content));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  EXPECT_EQ(other.Save(kFull), before) << message;
}

TEST(Training, RefusesAFileThatDoesNotFitAndChangesNothing) {
  const auto set = [](const std::string& key, const std::string& value) {
    return [=](SafeTensors* content) { content->metadata[key] = value; };
  };
  ExpectRefused([](SafeTensors* content) { content->metadata.erase("seed"); }, "'seed' is ''");
  ExpectRefused(set("epoch", "-1"), "metadata 'epoch' is '-1'");
  ExpectRefused(set("epoch", "1e3"), "metadata 'epoch' is '1e3'");
  ExpectRefused(set("batch", "46"), "metadata 'batch' is '46', not a number from 0 to 45");
  ExpectRefused(set("adam.steps", "99999999999999999999"), "metadata 'adam.steps' is '999");
  ExpectRefused(set("epoch.loss", "nan"), "metadata 'epoch.loss' is 'nan'");
  ExpectRefused([](SafeTensors* content) { content->tensors.erase("output.bias"); },
                "no tensor 'output.bias'");
  ExpectRefused([](SafeTensors* content) { content->tensors.erase("adam.variance.output.bias"); },
                "no tensor 'adam.variance.output.bias'");
  ExpectRefused(
      [](SafeTensors* content) {
        content->tensors["output.bias"] = {{1}, {0.0F}};
      },
      "tensor 'output.bias' has another shape");
}

TEST(Training, RefusesToGoOnFromWeightsAlone) {
  Training training(Digits(), {});
  const std::string file = training.Save(kWeights);
  EXPECT_LT(file.size(), training.Save(kFull).size() / 2);
  EXPECT_EQ(training.Restore(file).code(), absl::StatusCode::kInvalidArgument);
}

TEST(EvaluateFile, ScoresAsTheTrainingDid) {
  Training training(Digits(), {.seed = 4});
  TrainUntil(1, 0, &training);
  const Score expected = training.Validate();
  for (const auto payload : {kFull, kWeights}) {
    const auto score = EvaluateFile(Digits(), training.Save(payload));
    ASSERT_TRUE(score.ok()) << score.status();
    EXPECT_EQ(score->loss, expected.loss);
    EXPECT_EQ(score->correct, expected.correct);
  }
}

TEST(EvaluateFile, RefusesADamagedFile) {
  const std::string file = Training(Digits(), {}).Save(kWeights);
  EXPECT_FALSE(EvaluateFile(Digits(), file.substr(0, file.size() - 1)).ok());
}

}  // namespace
}  // namespace ckpt::examples
