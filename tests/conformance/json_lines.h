// Recorded data: one JSON object a line, with the numbers that JSON cannot hold as strings.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace ckpt::conformance {

// One metric of an event.
struct Metric {
  std::string name;
  double number = 0;
  std::optional<int64_t> integer;  // set if it was given without a decimal point
};

// The objects of the file `path`. Fails the running test if there are none.
std::vector<nlohmann::json> ReadJsonLines(const std::string& path);

// A number, or "NaN", "Infinity" or "-Infinity". Fails the running test for anything else.
double NumberFrom(const nlohmann::json& value);
nlohmann::json NumberToJson(double number);

// {"name": number, …}
std::vector<Metric> MetricsFrom(const nlohmann::json& values);

}  // namespace ckpt::conformance
