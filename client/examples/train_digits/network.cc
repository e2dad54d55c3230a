#include "client/examples/train_digits/network.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "client/examples/train_digits/random.h"

namespace ckpt::examples {
namespace {

// weight * input + bias
template <size_t kOutputs, typename T>
std::array<double, kOutputs> Affine(std::span<const float> weight, std::span<const float> bias,
                                    std::span<const T> input) {
  std::array<double, kOutputs> output;
  for (size_t row = 0; row < kOutputs; ++row) {
    double sum = bias[row];
    for (size_t column = 0; column < input.size(); ++column) {
      sum += static_cast<double>(weight[row * input.size() + column]) * input[column];
    }
    output[row] = sum;
  }
  return output;
}

// Subtracts the largest value first, so that exp cannot overflow.
void Softmax(std::span<double> values) {
  const double largest = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (double& value : values) sum += value = std::exp(value - largest);
  for (double& value : values) value /= sum;
}

Score ScoreOf(std::span<const double> probabilities, int label) {
  const auto likeliest = std::max_element(probabilities.begin(), probabilities.end());
  const auto truth = static_cast<size_t>(label);
  // A probability of 0 would make the loss infinite, and one image the whole epoch's loss.
  const double probability = std::max(probabilities[truth], std::numeric_limits<double>::min());
  return {.loss = -std::log(probability),
          .correct = likeliest - probabilities.begin() == label,
          .images = 1};
}

// gradient += error * input^T
template <typename T>
void AddOuterProduct(std::span<const double> error, std::span<const T> input,
                     std::span<double> gradient) {
  for (size_t row = 0; row < error.size(); ++row) {
    for (size_t column = 0; column < input.size(); ++column) {
      gradient[row * input.size() + column] += error[row] * input[column];
    }
  }
}

void Add(std::span<const double> values, std::span<double> sum) {
  for (size_t i = 0; i < values.size(); ++i) sum[i] += values[i];
}

}  // namespace

Score& Score::operator+=(const Score& other) {
  loss += other.loss;
  correct += other.correct;
  images += other.images;
  return *this;
}

Network::Network(uint64_t seed) : parameters_(kParameters) {
  for (uint64_t stream = 0; const ParameterTensor& tensor : {kHiddenWeight, kOutputWeight}) {
    const double limit = std::sqrt(6.0 / static_cast<double>(tensor.columns));
    Random random(seed, stream++);
    for (float& value : parameters().subspan(tensor.offset, tensor.size())) {
      value = static_cast<float>(random.Uniform(-limit, limit));
    }
  }
}

Score Network::Evaluate(const Dataset& data) const {
  Score score;
  for (size_t i = 0; i < data.size(); ++i) {
    score += ScoreOf(Forward(data.image(i)).probabilities, data.label(i));
  }
  return score;
}

Score Network::Differentiate(const Dataset& data, std::span<const size_t> indices,
                             std::span<double> gradient) const {
  std::fill(gradient.begin(), gradient.end(), 0.0);
  Score score;
  for (const size_t index : indices) {
    const std::span<const float> image = data.image(index);
    const Activations activations = Forward(image);
    score += ScoreOf(activations.probabilities, data.label(index));
    Backward(image, data.label(index), activations, gradient);
  }
  for (double& value : gradient) value /= static_cast<double>(indices.size());
  return score;
}

Network::Activations Network::Forward(std::span<const float> image) const {
  Activations activations;
  activations.hidden = Affine<kHidden>(tensor(kHiddenWeight), tensor(kHiddenBias), image);
  for (double& value : activations.hidden) value = std::max(value, 0.0);
  activations.probabilities = Affine<kClasses>(tensor(kOutputWeight), tensor(kOutputBias),
                                               std::span<const double>(activations.hidden));
  Softmax(activations.probabilities);
  return activations;
}

void Network::Backward(std::span<const float> image, int label, const Activations& activations,
                       std::span<double> gradient) const {
  const auto part = [gradient](const ParameterTensor& tensor) {
    return gradient.subspan(tensor.offset, tensor.size());
  };
  // Softmax and cross-entropy together differentiate to "probability minus truth".
  std::array<double, kClasses> output_error = activations.probabilities;
  output_error[static_cast<size_t>(label)] -= 1;
  AddOuterProduct(output_error, std::span<const double>(activations.hidden), part(kOutputWeight));
  Add(output_error, part(kOutputBias));

  const std::span<const float> weight = tensor(kOutputWeight);
  std::array<double, kHidden> hidden_error = {};
  for (size_t unit = 0; unit < kHidden; ++unit) {
    if (activations.hidden[unit] <= 0) continue;  // ReLU passes nothing back
    for (size_t row = 0; row < kClasses; ++row) {
      hidden_error[unit] += output_error[row] * static_cast<double>(weight[row * kHidden + unit]);
    }
  }
  AddOuterProduct(std::span<const double>(hidden_error), image, part(kHiddenWeight));
  Add(hidden_error, part(kHiddenBias));
}

}  // namespace ckpt::examples
