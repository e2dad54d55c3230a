// All the states that power cuts leave while a rig does something.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>

#include "tests/unit/storage/testing/sweep_rig.h"

namespace ckpt::storage {

class PowerCuts {
 public:
  // Where chance decides, it begins at `seed`.
  explicit PowerCuts(uint64_t seed) : seed_(seed) {}

  using Visit = std::function<void(const std::string& when, const DiskState& state)>;

  // Lets the power go before each call of `act` that changes the rig's disk, and at the end, each
  // time in every way, and visits what is left: states that were visited before are passed over.
  // What a reader of the store could see at that moment counts as acknowledged. Syncs that
  // `pretends` says so of do nothing.
  void During(SweepRig& rig, const std::function<void()>& act, const Visit& visit,
              const FaultyFileSystem::Plan& pretends = nullptr);

  // States visited so far, and those there were with the passed over ones.
  int64_t visited() const { return static_cast<int64_t>(seen_.size()); }
  int64_t covered() const { return covered_; }

 private:
  const uint64_t seed_;
  int64_t covered_ = 0;
  std::set<std::pair<uint64_t, std::string>> seen_;  // hash of the disk, and what is expected of it
};

}  // namespace ckpt::storage
