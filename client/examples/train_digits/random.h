// A small generator whose numbers are the same on every platform, which std's distributions do not
// promise. The algorithm is SplitMix64 (Steele, Lea, Flood 2014).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace ckpt::examples {

class Random {
 public:
  // `stream` tells independent sequences of one seed apart, such as one for each epoch.
  Random(uint64_t seed, uint64_t stream) : state_(seed) {
    state_ = Next() ^ (stream * kStreamStep);
  }

  uint64_t Next() {
    state_ += kGoldenGamma;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  // In [low, high).
  double Uniform(double low, double high) {
    return low + (high - low) * static_cast<double>(Next() >> 11) * 0x1p-53;
  }

  // Fisher-Yates.
  template <typename T>
  void Shuffle(std::span<T> items) {
    for (size_t left = items.size(); left > 1; --left) {
      std::swap(items[left - 1], items[Next() % left]);
    }
  }

 private:
  static constexpr uint64_t kGoldenGamma = 0x9e3779b97f4a7c15;
  static constexpr uint64_t kStreamStep = 0xd1342543de82ef95;

  uint64_t state_;
};

}  // namespace ckpt::examples
