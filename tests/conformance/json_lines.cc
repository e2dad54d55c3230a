#include "tests/conformance/json_lines.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

namespace ckpt::conformance {

std::vector<nlohmann::json> ReadJsonLines(const std::string& path) {
  std::vector<nlohmann::json> objects;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) objects.push_back(nlohmann::json::parse(line));
  EXPECT_FALSE(objects.empty()) << path;
  return objects;
}

double NumberFrom(const nlohmann::json& value) {
  using Limits = std::numeric_limits<double>;
  if (value.is_number()) return value.get<double>();
  if (value == "Infinity") return Limits::infinity();
  if (value == "-Infinity") return -Limits::infinity();
  EXPECT_EQ(value, "NaN");
  return Limits::quiet_NaN();
}

nlohmann::json NumberToJson(double number) {
  if (std::isfinite(number)) return number;
  if (std::isnan(number)) return "NaN";
  return number > 0 ? "Infinity" : "-Infinity";
}

std::vector<Metric> MetricsFrom(const nlohmann::json& values) {
  std::vector<Metric> metrics;
  for (const auto& [name, value] : values.items()) {
    Metric& metric = metrics.emplace_back(Metric{name, NumberFrom(value), std::nullopt});
    if (value.is_number_integer()) metric.integer = value.get<int64_t>();
  }
  return metrics;
}

}  // namespace ckpt::conformance
