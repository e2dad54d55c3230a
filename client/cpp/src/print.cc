#include "client/cpp/src/print.h"

#include <fmt/format.h>

#include <cstdio>

namespace ckpt::client {

void PrintDecision(const v1::Decision& decision) {
  for (const v1::PolicyDecision& policy : decision.policies()) {
    if (!policy.message().empty()) fmt::print(stdout, "\n{}\n", policy.message());
    if (!policy.warning().empty()) fmt::print(stderr, "WARNING: {}\n", policy.warning());
    if (policy.has_error()) {
      fmt::print(stderr, "ERROR: policy '{}': {}\n", policy.policy(), policy.error().message());
    }
  }
  std::fflush(stdout);
}

void PrintNotice(std::string_view text) { fmt::print(stderr, "ckpt: {}\n", text); }

}  // namespace ckpt::client
