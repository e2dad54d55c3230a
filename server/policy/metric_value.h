// The metrics of one event, as policies see them.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace ckpt::policy {

// A number as the trainer gave it. Comparisons use `number`; file names distinguish 3 from 3.0.
struct MetricValue {
  double number = 0;
  bool is_integer = false;
  int64_t integer = 0;  // if is_integer
};

// Metric name to value.
using Logs = std::map<std::string, MetricValue, std::less<>>;

}  // namespace ckpt::policy
