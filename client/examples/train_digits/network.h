// A multi-layer perceptron: 64 pixels, 32 hidden units with ReLU, 10 classes with softmax.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "client/examples/train_digits/dataset.h"

namespace ckpt::examples {

inline constexpr size_t kHidden = 32;

// Where a named tensor lies among the parameters: `rows` x `columns` values from `offset` on, row
// by row. A bias has one column.
struct ParameterTensor {
  std::string_view name;
  size_t rows;
  size_t columns;
  size_t offset;

  constexpr size_t size() const { return rows * columns; }
};

inline constexpr ParameterTensor kHiddenWeight = {"hidden.weight", kHidden, kPixels, 0};
inline constexpr ParameterTensor kHiddenBias = {"hidden.bias", kHidden, 1, kHidden* kPixels};
inline constexpr ParameterTensor kOutputWeight = {"output.weight", kClasses, kHidden,
                                                  kHiddenBias.offset + kHidden};
inline constexpr ParameterTensor kOutputBias = {"output.bias", kClasses, 1,
                                                kOutputWeight.offset + kClasses* kHidden};
inline constexpr std::array kParameterTensors = {kHiddenWeight, kHiddenBias, kOutputWeight,
                                                 kOutputBias};
inline constexpr size_t kParameters = kOutputBias.offset + kClasses;

// Sums over images. Dividing by `images` gives means.
struct Score {
  double loss = 0;      // cross-entropy
  int64_t correct = 0;  // images whose likeliest class is their label
  int64_t images = 0;

  Score& operator+=(const Score& other);
  double mean_loss() const { return loss / static_cast<double>(images); }
  double accuracy() const { return static_cast<double>(correct) / static_cast<double>(images); }
};

// Parameters are kept in single precision, as checkpoints hold them; sums are made in double.
class Network {
 public:
  // Uniform He initialisation; biases are 0. The same seed gives the same network.
  explicit Network(uint64_t seed);

  std::span<float> parameters() { return parameters_; }
  std::span<const float> parameters() const { return parameters_; }

  // Scores all images.
  Score Evaluate(const Dataset& data) const;

  // Scores the images `indices` of `data`, and sets `gradient` (kParameters values) to that of
  // their mean loss.
  Score Differentiate(const Dataset& data, std::span<const size_t> indices,
                      std::span<double> gradient) const;

 private:
  struct Activations {
    std::array<double, kHidden> hidden;
    std::array<double, kClasses> probabilities;
  };

  Activations Forward(std::span<const float> image) const;
  // Adds the gradient of one image's loss to `gradient`.
  void Backward(std::span<const float> image, int label, const Activations& activations,
                std::span<double> gradient) const;
  std::span<const float> tensor(const ParameterTensor& tensor) const {
    return parameters().subspan(tensor.offset, tensor.size());
  }

  std::vector<float> parameters_;
};

}  // namespace ckpt::examples
