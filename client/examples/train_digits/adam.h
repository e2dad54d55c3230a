// The Adam optimizer (Kingma and Ba, 2015) with its usual constants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ckpt::examples {

// What Adam remembers. It is part of a checkpoint: training that goes on without it takes another
// path.
struct Adam {
  explicit Adam(size_t parameters) : mean(parameters), variance(parameters) {}

  // Moves `parameters` one step against `gradient`. Both have the size given to the constructor.
  void Step(double learning_rate, std::span<const double> gradient, std::span<float> parameters);

  int64_t steps = 0;
  std::vector<float> mean;      // of the gradient, decaying
  std::vector<float> variance;  // of the gradient, about 0, decaying
};

}  // namespace ckpt::examples
