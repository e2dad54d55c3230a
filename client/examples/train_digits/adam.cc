#include "client/examples/train_digits/adam.h"

#include <cmath>

namespace ckpt::examples {
namespace {

constexpr double kMeanDecay = 0.9;
constexpr double kVarianceDecay = 0.999;
constexpr double kEpsilon = 1e-8;

}  // namespace

void Adam::Step(double learning_rate, std::span<const double> gradient,
                std::span<float> parameters) {
  ++steps;
  const double mean_bias = 1 - std::pow(kMeanDecay, steps);
  const double variance_bias = 1 - std::pow(kVarianceDecay, steps);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const double slope = gradient[i];
    mean[i] = static_cast<float>(kMeanDecay * mean[i] + (1 - kMeanDecay) * slope);
    variance[i] =
        static_cast<float>(kVarianceDecay * variance[i] + (1 - kVarianceDecay) * slope * slope);
    const double step = (mean[i] / mean_bias) / (std::sqrt(variance[i] / variance_bias) + kEpsilon);
    parameters[i] = static_cast<float>(parameters[i] - learning_rate * step);
  }
}

}  // namespace ckpt::examples
