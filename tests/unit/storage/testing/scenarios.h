// What the fault sweep and the power-cut sweep put a store through: a row for each thing it does.
#pragma once

#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "tests/unit/storage/testing/trainer.h"

namespace ckpt::storage {

struct Scenario {
  const char* name;
  // Makes what is there before. The store is closed, and everything on the disk, after it.
  absl::Status (*prepare)(Trainer&);
  // What is put to the test.
  absl::Status (*run)(Trainer&);
  // Whether opening the store is put to the test as well, rather than only `run`.
  bool opens = false;
  // Whether it is the commit itself, which every fault is tried on at every call.
  bool is_commit = false;
};
// For messages of tests.
inline void PrintTo(const Scenario& scenario, std::ostream* out) { *out << scenario.name; }

std::span<const Scenario> Scenarios();
const Scenario& ScenarioNamed(std::string_view name);

// A save of one part, whose bytes tell its id.
SavePlan PlanOf(uint64_t id, double value, std::vector<std::string> filepaths,
                v1::StorageOptions::Projection projection = v1::StorageOptions::PROJECTION_LINK);

}  // namespace ckpt::storage
