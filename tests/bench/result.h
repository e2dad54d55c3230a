// What a measurement found.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ckpt::bench {

// One figure of the product beside its baseline, from one interleaved run.
struct Sample {
  double product = 0;
  double baseline = 0;
};

enum class Better { kHigher, kLower };

struct Result {
  std::string name;     // such as "upload"
  std::string what;     // such as "gRPC upload, durable / no-op gRPC stream"
  std::string unit;     // of product and baseline
  double product = 0;   // median
  double baseline = 0;  // median
  double ratio = 0;     // median of the pairs' ratios product / baseline
  double least = 0;     // smallest
  double most = 0;      // and largest of them
  Better better = Better::kHigher;
  std::optional<double> target;              // what the ratio must reach
  std::optional<double> aim;                 // and what it should
  std::optional<double> cpu_seconds_per_gb;  // of daemon and client together

  bool pass() const;  // true without a target
};

// The middle value, or the mean of the two in the middle. `values` is not empty.
double Median(std::vector<double> values);
// The value that a share `q` of them does not exceed. `values` is not empty.
double Quantile(std::vector<double> values, double q);

// Medians and spread of the samples; the other fields are the caller's. `samples` is not empty.
Result Summarize(std::span<const Sample> samples);

// For people, and for programs: {"machine": …, "results": […]}.
std::string ToTable(std::span<const Result> results);
std::string ToJson(std::span<const Result> results);

}  // namespace ckpt::bench
