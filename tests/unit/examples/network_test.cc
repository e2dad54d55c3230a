#include "client/examples/train_digits/network.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "client/examples/train_digits/random.h"

namespace ckpt::examples {
namespace {

// `images` images of noise.
Dataset Noise(size_t images) {
  Dataset data;
  Random random(5, 0);
  for (size_t i = 0; i < images; ++i) {
    std::array<float, kPixels> image;
    for (float& pixel : image) pixel = static_cast<float>(random.Uniform(0, 1));
    data.Add(image, static_cast<int>(i % kClasses));
  }
  return data;
}

std::vector<size_t> AllOf(const Dataset& data) {
  std::vector<size_t> indices(data.size());
  std::iota(indices.begin(), indices.end(), size_t{0});
  return indices;
}

TEST(Network, TensorsCoverTheParametersOnce) {
  size_t end = 0;
  for (const ParameterTensor& tensor : kParameterTensors) {
    EXPECT_EQ(tensor.offset, end) << tensor.name;
    end += tensor.size();
  }
  EXPECT_EQ(end, kParameters);
  EXPECT_EQ(kParameters, 64U * 32 + 32 + 32 * 10 + 10);
}

TEST(Network, FollowsFromTheSeed) {
  const auto parameters = [](uint64_t seed) {
    const Network network(seed);
    return std::vector<float>(network.parameters().begin(), network.parameters().end());
  };
  EXPECT_EQ(parameters(1), parameters(1));
  EXPECT_NE(parameters(1), parameters(2));
}

TEST(Network, OfZerosFindsAllClassesEquallyLikely) {
  Network network(1);
  for (float& value : network.parameters()) value = 0;
  const Score score = network.Evaluate(Noise(20));
  EXPECT_NEAR(score.mean_loss(), std::log(10.0), 1e-12);
  EXPECT_EQ(score.images, 20);
  EXPECT_EQ(score.correct, 2);  // of equals the first class wins, and two labels are 0
}

// The gradient by formula against the slope of the loss measured at two nearby points.
TEST(Network, GradientIsTheSlopeOfTheLoss) {
  Network network(3);
  const Dataset data = Noise(8);
  std::vector<double> gradient(kParameters);
  network.Differentiate(data, AllOf(data), gradient);
  for (size_t i = 0; i < kParameters; i += 7) {
    float& parameter = network.parameters()[i];
    const float before = parameter;
    const float above = before + 1e-3F;
    const float below = before - 1e-3F;
    parameter = above;
    const double loss_above = network.Evaluate(data).mean_loss();
    parameter = below;
    const double loss_below = network.Evaluate(data).mean_loss();
    parameter = before;
    const double slope = (loss_above - loss_below) / (static_cast<double>(above) - below);
    EXPECT_NEAR(gradient[i], slope, 1e-5) << "parameter " << i;
  }
}

TEST(Network, DifferentiateScoresAsEvaluateDoes) {
  const Network network(3);
  const Dataset data = Noise(8);
  std::vector<double> gradient(kParameters, 42.0);  // what was there before does not matter
  std::vector<double> again(kParameters);
  const Score score = network.Differentiate(data, AllOf(data), gradient);
  network.Differentiate(data, AllOf(data), again);
  const Score expected = network.Evaluate(data);
  EXPECT_EQ(score.loss, expected.loss);
  EXPECT_EQ(score.correct, expected.correct);
  EXPECT_EQ(score.images, expected.images);
  EXPECT_EQ(gradient, again);
}

TEST(Network, HugeParametersGiveAFiniteLoss) {
  Network network(1);
  for (float& value : network.parameters()) value *= 1e15F;
  EXPECT_TRUE(std::isfinite(network.Evaluate(Noise(10)).loss));
}

}  // namespace
}  // namespace ckpt::examples
