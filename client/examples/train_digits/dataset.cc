#include "client/examples/train_digits/dataset.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>

#include "absl/status/status.h"
#include "client/examples/train_digits/random.h"
#include "client/examples/train_digits/read_file.h"
#include "fmt/format.h"

namespace ckpt::examples {
namespace {

constexpr int kMaxPixel = 16;
constexpr uint64_t kSplitStream = ~uint64_t{0};  // epochs use 0, 1, 2 …

// Cuts the text up to the next `separator`, or all of it, off the front of `*rest`.
std::string_view CutUntil(char separator, std::string_view* rest) {
  const size_t end = std::min(rest->find(separator), rest->size());
  const std::string_view cut = rest->substr(0, end);
  rest->remove_prefix(std::min(end + 1, rest->size()));
  return cut;
}

// Whether `text` is a whole number from 0 to `max`, and which.
bool ParseNumber(std::string_view text, int max, int* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && *value >= 0 && *value <= max;
}

// Adds one line to `dataset`. The error names the column, not the line.
absl::Status AddLine(std::string_view line, Dataset* dataset) {
  const auto columns = static_cast<size_t>(std::count(line.begin(), line.end(), ',')) + 1;
  if (columns != kPixels + 1) {
    return absl::InvalidArgumentError(
        fmt::format("{} columns instead of {}", columns, kPixels + 1));
  }
  std::array<int, kPixels + 1> numbers;
  for (size_t column = 0; column < numbers.size(); ++column) {
    const int max = column < kPixels ? kMaxPixel : static_cast<int>(kClasses) - 1;
    const std::string_view text = CutUntil(',', &line);
    if (!ParseNumber(text, max, &numbers[column])) {
      return absl::InvalidArgumentError(
          fmt::format("column {}: '{}' is no whole number from 0 to {}", column + 1, text, max));
    }
  }
  std::array<float, kPixels> image;
  std::transform(numbers.begin(), numbers.begin() + kPixels, image.begin(),
                 [](int pixel) { return static_cast<float>(pixel) / kMaxPixel; });
  dataset->Add(image, numbers.back());
  return absl::OkStatus();
}

}  // namespace

void Dataset::Add(std::span<const float> image, int label) {
  pixels_.insert(pixels_.end(), image.begin(), image.end());
  labels_.push_back(static_cast<int8_t>(label));
}

absl::StatusOr<Dataset> ParseDigits(std::string_view csv, std::string_view source) {
  Dataset dataset;
  for (int number = 1; !csv.empty(); ++number) {
    std::string_view line = CutUntil('\n', &csv);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (absl::Status status = AddLine(line, &dataset); !status.ok()) {
      return absl::InvalidArgumentError(
          fmt::format("{}:{}: {}", source, number, std::string(status.message())));
    }
  }
  if (dataset.size() < 2) {
    return absl::InvalidArgumentError(fmt::format("{}: fewer than 2 images", source));
  }
  return dataset;
}

absl::StatusOr<Dataset> LoadDigits(const std::string& path) {
  const absl::StatusOr<std::string> csv = ReadFile(path);
  if (!csv.ok()) return csv.status();
  return ParseDigits(*csv, path);
}

Split SplitForValidation(const Dataset& all, uint64_t seed) {
  std::vector<size_t> order(all.size());
  std::iota(order.begin(), order.end(), size_t{0});
  Random(seed, kSplitStream).Shuffle(std::span(order));
  const size_t validation = std::max<size_t>(all.size() / 5, 1);
  Split split;
  for (size_t i = 0; i < order.size(); ++i) {
    Dataset& part = i < validation ? split.validation : split.train;
    part.Add(all.image(order[i]), all.label(order[i]));
  }
  return split;
}

}  // namespace ckpt::examples
