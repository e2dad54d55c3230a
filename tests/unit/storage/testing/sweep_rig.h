// A store on a simulated disk, and the look at what a cut has left of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "storage/checkpoint_store.h"
#include "storage/fs/posix_file_system.h"
#include "tests/unit/storage/testing/expectation.h"
#include "tests/unit/storage/testing/faulty_file_system.h"
#include "tests/unit/storage/testing/saves.h"
#include "tests/unit/storage/testing/scenarios.h"
#include "tests/unit/storage/testing/simulated_disk.h"
#include "tests/unit/storage/testing/temp_dir.h"
#include "tests/unit/storage/testing/trainer.h"

namespace ckpt::storage {

// A disk, and what the clients know of it.
struct DiskState {
  DiskImage disk;
  Expectation expected;
};

// A store all of whose calls to files, the index's included, are counted by `faults`, fail as its
// plan says, and are told to `disk`.
class SweepRig {
 public:
  explicit SweepRig(const DiskState& state);
  ~SweepRig() { Close(); }

  absl::Status Open();
  void Close() { store_.reset(); }
  bool is_open() const { return store_ != nullptr; }
  CheckpointStore& store() { return *store_; }
  // Opens the store if the scenario has it opened, and runs the scenario.
  absl::Status Run(const Scenario& scenario);

  FakeClock clock;
  SimulatedDisk disk;
  FaultyFileSystem faults{real_, &disk};
  Ledger ledger;

 private:
  TempDir dir_;
  PosixFileSystem real_;
  std::shared_ptr<rocksdb::Env> env_;
  std::unique_ptr<CheckpointStore> store_;
};

// What is there when a scenario begins.
DiskState StartOf(const Scenario& scenario);

// What a state breaks: as it is found, after the store has been opened by the real file system and
// has recovered, and after its open saves have been finished and another one made.
std::vector<std::string> Violations(const DiskState& state);

// One line for each.
std::string Lines(const std::vector<std::string>& violations);

}  // namespace ckpt::storage
