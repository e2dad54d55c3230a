#include "tests/unit/storage/testing/sweep_rig.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <utility>

#include "storage/base/errors.h"
#include "tests/unit/storage/testing/faulty_index_env.h"
#include "tests/unit/storage/testing/promises.h"

namespace ckpt::storage {
namespace {

constexpr int64_t kIndexCacheBytes = 4 << 20;  // opens faster
constexpr uint64_t kLaterId = 100;             // above all ids of scenarios

// Thousands of stores are opened, with dozens of syncs each: in memory, if that can be had.
std::string FastFolder() {
  constexpr char kMemory[] = "/dev/shm";
  return access(kMemory, W_OK) == 0 ? kMemory : testing::TempDir();
}

// What a daemon and its trainers do after a restart.
absl::Status GoOn(CheckpointStore& store, Ledger& ledger) {
  Trainer trainer(store, ledger);
  if (!store.GetRun("r").ok()) {
    if (absl::Status status = trainer.CreateRun(); !status.ok()) return status;
  }
  if (absl::Status status = trainer.FinishOpenSaves(); !status.ok()) return status;
  return trainer.Save(PlanOf(kLaterId, 0.01, {"later.h5"}));
}

}  // namespace

SweepRig::SweepRig(const DiskState& state)
    : disk(state.disk), ledger(state.expected), dir_(FastFolder()) {
  state.disk.WriteTo(dir_.path());
  env_ = MakeFaultyIndexEnv(faults, dir_.path());
}

absl::Status SweepRig::Open() {
  auto store = CheckpointStore::Open({.data_dir = dir_.path(),
                                      .index_cache_bytes = kIndexCacheBytes,
                                      .file_system = &faults,
                                      .index_env = env_.get(),
                                      .clock = &clock,
                                      .on_index_error = {}});
  if (store.ok()) store_ = *std::move(store);
  return store.status();
}

absl::Status SweepRig::Run(const Scenario& scenario) {
  if (!is_open()) {
    if (absl::Status status = Open(); !status.ok()) return status;
  }
  Trainer trainer(*store_, ledger);
  return scenario.run(trainer);
}

DiskState StartOf(const Scenario& scenario) {
  SweepRig rig({});
  EXPECT_TRUE(rig.Open().ok());
  Trainer trainer(rig.store(), rig.ledger);
  const absl::Status prepared = scenario.prepare(trainer);
  EXPECT_TRUE(prepared.ok()) << prepared;
  rig.Close();
  std::mt19937_64 unused;
  return {rig.disk.After(Cut::kKeepAll, unused), rig.ledger.Read()};
}

std::vector<std::string> Violations(const DiskState& state) {
  std::vector<std::string> broken = BrokenNames(state.disk, state.expected);
  const TempDir dir(FastFolder());
  state.disk.WriteTo(dir.path());
  const FakeClock clock;
  auto store = CheckpointStore::Open({.data_dir = dir.path(),
                                      .index_cache_bytes = kIndexCacheBytes,
                                      .clock = &clock,
                                      .on_index_error = {}});
  if (!store.ok()) {
    broken.push_back("P1 the store does not open: " + store.status().ToString());
    return broken;
  }
  Ledger ledger(state.expected);
  for (const bool gone_on : {false, true}) {
    if (gone_on) {
      ledger.Note([&](Expectation& expected) { Settle(**store, &expected); });
      if (absl::Status status = GoOn(**store, ledger); !status.ok()) {
        broken.push_back("P8 no save goes on: " + status.ToString());
      }
    }
    for (std::string& each : BrokenPromises(**store, ledger.Read())) {
      broken.push_back(gone_on ? each + ", later" : std::move(each));
    }
    if (!broken.empty()) break;
  }
  return broken;
}

std::string Lines(const std::vector<std::string>& violations) {
  std::string lines;
  for (const std::string& violation : violations) lines += violation + '\n';
  return lines;
}

}  // namespace ckpt::storage
