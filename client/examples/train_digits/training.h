// A training run that can be saved at any batch and resumed to the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/resources.pb.h"
#include "client/examples/train_digits/adam.h"
#include "client/examples/train_digits/dataset.h"
#include "client/examples/train_digits/network.h"
#include "client/examples/train_digits/safetensors.h"

namespace ckpt::examples {

// What, besides the data, decides how training goes.
struct Hyperparameters {
  uint64_t seed = 1;        // of the split, the first weights and the order of the images
  int64_t batch_size = 32;  // at least 1
  double learning_rate = 0.005;
};

// Network, optimizer, and the position in the data. One epoch is
//
//   while (training.batch() < training.batches_per_epoch()) training.TrainBatch();
//   training.EndEpoch();
//
// and may begin in the middle after Restore. Not thread-safe.
class Training {
 public:
  Training(const Dataset& data, const Hyperparameters& hyperparameters);

  int64_t epoch() const { return epoch_; }  // 0-based, the one to go on with
  int64_t batch() const { return batch_; }  // batches of it that are done
  int64_t batches_per_epoch() const;
  // Sums over the batches of the epoch that are done; what Keras averages.
  const Score& epoch_score() const { return epoch_score_; }

  // Trains on the next batch.
  void TrainBatch();
  // Scores the validation images and moves on to the next epoch.
  Score EndEpoch();
  Score Validate() const { return network_.Evaluate(data_.validation); }

  // All that is needed to go on, or only the network: one safetensors file.
  std::string Save(v1::Checkpoint::Payload payload) const;
  // Goes on from a file that Save wrote with the whole model. INVALID_ARGUMENT if `file` is
  // damaged, has no optimizer, or belongs to other hyperparameters; nothing has changed then.
  absl::Status Restore(std::string_view file);

 private:
  // Puts the images in the order of the current epoch. It follows from seed and epoch alone.
  void ShuffleEpoch();
  // As Restore, but may leave half of it changed.
  absl::Status Load(const SafeTensors& content);

  Hyperparameters hyperparameters_;
  Split data_;
  Network network_;
  Adam adam_;
  std::vector<size_t> order_;  // of the training images in this epoch
  int64_t epoch_ = 0;
  int64_t batch_ = 0;
  Score epoch_score_;
  std::optional<double> val_loss_;  // of the network as it is now, when it is known
};

// The score of a file that Save wrote, on the validation images it was trained without.
// INVALID_ARGUMENT if `file` is damaged.
absl::StatusOr<Score> EvaluateFile(const Dataset& data, std::string_view file);

}  // namespace ckpt::examples
