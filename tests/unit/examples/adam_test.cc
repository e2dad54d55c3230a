#include "client/examples/train_digits/adam.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace ckpt::examples {
namespace {

TEST(Adam, FirstStepHasTheSizeOfTheLearningRate) {
  Adam adam(3);
  std::array<float, 3> parameters = {1, 1, 1};
  adam.Step(0.125, std::array{1000.0, -0.001, 0.0}, parameters);
  EXPECT_NEAR(parameters[0], 0.875, 1e-5);
  EXPECT_NEAR(parameters[1], 1.125, 1e-5);
  EXPECT_EQ(parameters[2], 1);
  EXPECT_EQ(adam.steps, 1);
}

// Two steps by hand from the paper's formulas.
TEST(Adam, SecondStepCorrectsBothBiases) {
  Adam adam(1);
  std::array<float, 1> parameters = {0};
  adam.Step(0.1, std::array{1.0}, parameters);
  adam.Step(0.1, std::array{-2.0}, parameters);
  const double mean = 0.9 * 0.1 + 0.1 * -2;
  const double variance = 0.999 * 0.001 + 0.001 * 4;
  const double step = mean / (1 - 0.9 * 0.9) / std::sqrt(variance / (1 - 0.999 * 0.999));
  EXPECT_NEAR(adam.mean[0], mean, 1e-6);
  EXPECT_NEAR(adam.variance[0], variance, 1e-6);
  EXPECT_NEAR(parameters[0], -0.1 - 0.1 * step, 1e-5);
}

TEST(Adam, FindsTheMinimumOfAParabola) {
  Adam adam(1);
  std::array<float, 1> x = {5};
  for (int i = 0; i < 2000; ++i) adam.Step(0.05, std::array{2.0 * (x[0] - 3)}, x);
  EXPECT_NEAR(x[0], 3, 1e-3);
}

}  // namespace
}  // namespace ckpt::examples
