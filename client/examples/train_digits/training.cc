#include "client/examples/train_digits/training.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <span>
#include <type_traits>

#include "client/examples/train_digits/random.h"
#include "fmt/format.h"

namespace ckpt::examples {
namespace {

constexpr char kMeanPrefix[] = "adam.mean.";
constexpr char kVariancePrefix[] = "adam.variance.";
constexpr int64_t kMaxCount = int64_t{1} << 53;

std::vector<int64_t> ShapeOf(const ParameterTensor& tensor) {
  const auto rows = static_cast<int64_t>(tensor.rows);
  if (tensor.columns == 1) return {rows};
  return {rows, static_cast<int64_t>(tensor.columns)};
}

// Adds one tensor for each of kParameterTensors.
void PutTensors(std::string_view prefix, std::span<const float> values, SafeTensors* content) {
  for (const ParameterTensor& tensor : kParameterTensors) {
    const std::span<const float> part = values.subspan(tensor.offset, tensor.size());
    content->tensors[fmt::format("{}{}", prefix, tensor.name)] = {
        .shape = ShapeOf(tensor), .values = {part.begin(), part.end()}};
  }
}

// The inverse of PutTensors.
absl::Status TakeTensors(const SafeTensors& content, std::string_view prefix,
                         std::span<float> values) {
  for (const ParameterTensor& tensor : kParameterTensors) {
    const std::string name = fmt::format("{}{}", prefix, tensor.name);
    const auto found = content.tensors.find(name);
    if (found == content.tensors.end()) {
      return absl::InvalidArgumentError(fmt::format("no tensor '{}'", name));
    }
    if (found->second.shape != ShapeOf(tensor)) {
      return absl::InvalidArgumentError(fmt::format("tensor '{}' has another shape", name));
    }
    std::copy(found->second.values.begin(), found->second.values.end(),
              values.begin() + static_cast<ptrdiff_t>(tensor.offset));
  }
  return absl::OkStatus();
}

// Reads numbers from metadata and remembers the first thing that is wrong.
class MetadataReader {
 public:
  explicit MetadataReader(const std::map<std::string, std::string>& metadata)
      : metadata_(metadata) {}

  // The number at `key`; `low` if it is missing or not from `low` to `high`.
  template <typename T>
  T Number(const std::string& key, std::type_identity_t<T> low, std::type_identity_t<T> high) {
    const auto found = metadata_.find(key);
    const std::string text = found == metadata_.end() ? "" : found->second;
    T value;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value >= low && value <= high) {
      return value;
    }
    Fail(fmt::format("metadata '{}' is '{}', not a number from {} to {}", key, text, low, high));
    return low;
  }

  // Checks that the number at `key` is `expected`.
  template <typename T>
  void Expect(const std::string& key, T expected) {
    const T value = Number<T>(key, std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max());
    if (value != expected) {
      Fail(fmt::format("it was made with {} {}, not {}", key, value, expected));
    }
  }

  const absl::Status& status() const { return status_; }

 private:
  void Fail(const std::string& what) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(what);
  }

  const std::map<std::string, std::string>& metadata_;
  absl::Status status_;
};

}  // namespace

Training::Training(const Dataset& data, const Hyperparameters& hyperparameters)
    : hyperparameters_(hyperparameters),
      data_(SplitForValidation(data, hyperparameters.seed)),
      network_(hyperparameters.seed),
      adam_(kParameters),
      order_(data_.train.size()) {
  ShuffleEpoch();
}

int64_t Training::batches_per_epoch() const {
  const auto images = static_cast<int64_t>(order_.size());
  return (images - 1) / hyperparameters_.batch_size + 1;
}

void Training::TrainBatch() {
  const auto batch_size = static_cast<size_t>(hyperparameters_.batch_size);
  const size_t first = static_cast<size_t>(batch_) * batch_size;
  const std::span<const size_t> indices =
      std::span(order_).subspan(first, std::min(batch_size, order_.size() - first));
  std::array<double, kParameters> gradient;
  epoch_score_ += network_.Differentiate(data_.train, indices, gradient);
  adam_.Step(hyperparameters_.learning_rate, gradient, network_.parameters());
  ++batch_;
  val_loss_.reset();
}

Score Training::EndEpoch() {
  const Score validation = Validate();
  val_loss_ = validation.mean_loss();
  ++epoch_;
  batch_ = 0;
  epoch_score_ = {};
  ShuffleEpoch();
  return validation;
}

void Training::ShuffleEpoch() {
  std::iota(order_.begin(), order_.end(), size_t{0});
  Random(hyperparameters_.seed, static_cast<uint64_t>(epoch_)).Shuffle(std::span(order_));
}

std::string Training::Save(v1::Checkpoint::Payload payload) const {
  // fmt prints the shortest text that reads back as the same double.
  SafeTensors content;
  content.metadata = {{"seed", fmt::format("{}", hyperparameters_.seed)},
                      {"epoch", fmt::format("{}", epoch_)},
                      {"batch", fmt::format("{}", batch_)}};
  if (val_loss_) content.metadata["val_loss"] = fmt::format("{}", *val_loss_);
  PutTensors("", network_.parameters(), &content);
  if (payload == v1::Checkpoint::PAYLOAD_WEIGHTS) return EncodeSafeTensors(content);

  content.metadata.merge(std::map<std::string, std::string>{
      {"batch_size", fmt::format("{}", hyperparameters_.batch_size)},
      {"learning_rate", fmt::format("{}", hyperparameters_.learning_rate)},
      {"adam.steps", fmt::format("{}", adam_.steps)},
      {"epoch.loss", fmt::format("{}", epoch_score_.loss)},
      {"epoch.correct", fmt::format("{}", epoch_score_.correct)},
      {"epoch.images", fmt::format("{}", epoch_score_.images)}});
  PutTensors(kMeanPrefix, adam_.mean, &content);
  PutTensors(kVariancePrefix, adam_.variance, &content);
  return EncodeSafeTensors(content);
}

absl::Status Training::Restore(std::string_view file) {
  const absl::StatusOr<SafeTensors> content = DecodeSafeTensors(file);
  if (!content.ok()) return content.status();
  Training restored = *this;
  if (absl::Status status = restored.Load(*content); !status.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("training cannot go on from this file: {}", std::string(status.message())));
  }
  *this = std::move(restored);
  return absl::OkStatus();
}

absl::Status Training::Load(const SafeTensors& content) {
  MetadataReader metadata(content.metadata);
  metadata.Expect("seed", hyperparameters_.seed);
  metadata.Expect("batch_size", hyperparameters_.batch_size);
  metadata.Expect("learning_rate", hyperparameters_.learning_rate);
  epoch_ = metadata.Number<int64_t>("epoch", 0, kMaxCount);
  batch_ = metadata.Number<int64_t>("batch", 0, batches_per_epoch());
  adam_.steps = metadata.Number<int64_t>("adam.steps", 0, kMaxCount);
  epoch_score_.loss = metadata.Number<double>("epoch.loss", 0, HUGE_VAL);
  epoch_score_.correct = metadata.Number<int64_t>("epoch.correct", 0, kMaxCount);
  epoch_score_.images = metadata.Number<int64_t>("epoch.images", 0, kMaxCount);
  if (!metadata.status().ok()) return metadata.status();

  val_loss_.reset();
  ShuffleEpoch();
  if (absl::Status status = TakeTensors(content, "", network_.parameters()); !status.ok()) {
    return status;
  }
  if (absl::Status status = TakeTensors(content, kMeanPrefix, adam_.mean); !status.ok()) {
    return status;
  }
  return TakeTensors(content, kVariancePrefix, adam_.variance);
}

absl::StatusOr<Score> EvaluateFile(const Dataset& data, std::string_view file) {
  const absl::StatusOr<SafeTensors> content = DecodeSafeTensors(file);
  if (!content.ok()) return content.status();
  MetadataReader metadata(content->metadata);
  const auto seed = metadata.Number<uint64_t>("seed", 0, std::numeric_limits<uint64_t>::max());
  if (!metadata.status().ok()) return metadata.status();
  Network network(seed);
  if (absl::Status status = TakeTensors(*content, "", network.parameters()); !status.ok()) {
    return status;
  }
  return network.Evaluate(SplitForValidation(data, seed).validation);
}

}  // namespace ckpt::examples
