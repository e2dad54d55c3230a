#include "tests/bench/result.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/bench/machine.h"

namespace ckpt::bench {
namespace {

std::string Bound(const Result& result, const std::optional<double>& bound) {
  if (!bound.has_value()) return "-";
  return fmt::format("{} {:.3g}", result.better == Better::kHigher ? ">=" : "<=", *bound);
}

}  // namespace

bool Result::pass() const {
  if (!target.has_value()) return true;
  return better == Better::kHigher ? ratio >= *target : ratio <= *target;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double Quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(values.size())));
  return values[std::clamp<size_t>(rank, 1, values.size()) - 1];
}

Result Summarize(std::span<const Sample> samples) {
  std::vector<double> products;
  std::vector<double> baselines;
  std::vector<double> ratios;
  for (const Sample& sample : samples) {
    products.push_back(sample.product);
    baselines.push_back(sample.baseline);
    ratios.push_back(sample.product / sample.baseline);
  }
  Result result;
  result.product = Median(products);
  result.baseline = Median(baselines);
  result.ratio = Median(ratios);
  result.least = *std::min_element(ratios.begin(), ratios.end());
  result.most = *std::max_element(ratios.begin(), ratios.end());
  return result;
}

std::string ToTable(std::span<const Result> results) {
  constexpr auto kRow = "{:<24} {:>11} {:>11} {:<9} {:>7} {:>15} {:>8} {:>8} {:<4} {:>9}  {}\n";
  std::string table = fmt::format(kRow, "NAME", "PRODUCT", "BASELINE", "UNIT", "RATIO", "SPREAD",
                                  "TARGET", "AIM", "PASS", "CPU-s/GB", "PRODUCT / BASELINE");
  for (const Result& result : results) {
    table += fmt::format(
        kRow, result.name, fmt::format("{:.4g}", result.product),
        fmt::format("{:.4g}", result.baseline), result.unit, fmt::format("{:.3f}", result.ratio),
        fmt::format("{:.3f}..{:.3f}", result.least, result.most), Bound(result, result.target),
        Bound(result, result.aim), result.pass() ? "yes" : "NO",
        result.cpu_seconds_per_gb ? fmt::format("{:.2f}", *result.cpu_seconds_per_gb) : "-",
        result.what);
  }
  return table;
}

std::string ToJson(std::span<const Result> results) {
  const auto optional = [](const std::optional<double>& value) {
    return value.has_value() ? nlohmann::json(*value) : nlohmann::json();
  };
  nlohmann::json list = nlohmann::json::array();
  for (const Result& result : results) {
    list.push_back({{"name", result.name},
                    {"what", result.what},
                    {"unit", result.unit},
                    {"product", result.product},
                    {"baseline", result.baseline},
                    {"ratio", result.ratio},
                    {"least", result.least},
                    {"most", result.most},
                    {"better", result.better == Better::kHigher ? "higher" : "lower"},
                    {"target", optional(result.target)},
                    {"aim", optional(result.aim)},
                    {"pass", result.pass()},
                    {"cpu_seconds_per_gb", optional(result.cpu_seconds_per_gb)}});
  }
  return nlohmann::json{{"machine", DescribeMachine()}, {"results", list}}.dump(2) + "\n";
}

}  // namespace ckpt::bench
