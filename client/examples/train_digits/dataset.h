// Hand-written digits of 8 x 8 pixels: loading and splitting.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace ckpt::examples {

inline constexpr size_t kPixels = 64;
inline constexpr size_t kClasses = 10;

// Images with their labels.
class Dataset {
 public:
  size_t size() const { return labels_.size(); }
  // kPixels values from 0 (white) to 1 (black).
  std::span<const float> image(size_t index) const {
    return std::span(pixels_).subspan(index * kPixels, kPixels);
  }
  // 0 to 9.
  int label(size_t index) const { return labels_[index]; }

  // `image` has kPixels values.
  void Add(std::span<const float> image, int label);

 private:
  std::vector<float> pixels_;
  std::vector<int8_t> labels_;
};

// Parses lines of 64 whole numbers from 0 to 16 and a label from 0 to 9, separated by commas.
// INVALID_ARGUMENT names `source`, line and column of what is wrong; also for fewer than 2 images,
// which cannot be split.
absl::StatusOr<Dataset> ParseDigits(std::string_view csv, std::string_view source);

// As ParseDigits, from a file. NOT_FOUND if it cannot be read.
absl::StatusOr<Dataset> LoadDigits(const std::string& path);

struct Split {
  Dataset train;
  Dataset validation;
};

// A fifth of the shuffled data, but at least one image, is for validation; the same seed gives the
// same split.
Split SplitForValidation(const Dataset& all, uint64_t seed);

}  // namespace ckpt::examples
