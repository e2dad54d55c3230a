// The power goes before each call to the disk in turn, in every way, and the store is opened again
// from what is left. RocksDB's calls count as well.

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/power_cuts.h"
#include "tests/unit/storage/testing/sweep_rig.h"

namespace ckpt::storage {
namespace {

constexpr uint64_t kSeed = 20'240'229;
constexpr size_t kSecondCuts = 1;  // states of a scenario from which recovery is cut off as well

class PowerCutTest : public testing::TestWithParam<Scenario> {
 protected:
  // The states that cuts leave while the scenario runs.
  template <typename Visit>
  void ForEachState(PowerCuts& cuts, Visit visit) {
    const Scenario& scenario = GetParam();
    SweepRig rig(StartOf(scenario));
    if (!scenario.opens) {
      ASSERT_OK(rig.Open());
    }
    cuts.During(
        rig, [&] { EXPECT_OK(rig.Run(scenario)); },
        [&](const std::string& when, const DiskState& state) {
          if (!HasFailure()) visit(when, state);
        });
  }
};

INSTANTIATE_TEST_SUITE_P(Scenarios, PowerCutTest,
                         testing::ValuesIn(Scenarios().begin(), Scenarios().end()),
                         [](const auto& scenario) { return scenario.param.name; });

TEST_P(PowerCutTest, LosesNothing) {
  PowerCuts cuts(kSeed);
  ForEachState(cuts, [](const std::string& when, const DiskState& state) {
    EXPECT_EQ(Lines(Violations(state)), "") << when;
  });
  fmt::print("{} states, {} of them different\n", cuts.covered(), cuts.visited());
  EXPECT_GT(cuts.visited(), 10);
}

// Again while the store recovers from a cut.
TEST_P(PowerCutTest, LosesNothingWhenRecoveryIsCutOff) {
  std::vector<std::pair<std::string, DiskState>> states;
  PowerCuts first(kSeed);
  ForEachState(first, [&](const std::string& when, const DiskState& state) {
    states.emplace_back(when, state);
  });
  std::shuffle(states.begin(), states.end(), std::mt19937_64(kSeed));
  states.resize(std::min(states.size(), kSecondCuts));
  PowerCuts second(kSeed);
  for (const auto& [when, state] : states) {
    SweepRig rig(state);
    second.During(
        rig, [&] { EXPECT_OK(rig.Open()); },
        [&](const std::string& again, const DiskState& left) {
          if (HasFailure()) return;
          EXPECT_EQ(Lines(Violations(left)), "") << when << ", then " << again;
        });
  }
  fmt::print("{} states, {} of them different\n", second.covered(), second.visited());
}

}  // namespace
}  // namespace ckpt::storage
