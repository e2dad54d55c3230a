// What the server does with a store on behalf of one trainer.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "storage/checkpoint_store.h"
#include "tests/unit/storage/testing/expectation.h"

namespace ckpt::storage {

// A save to make.
struct SavePlan {
  uint64_t id = 0;
  double value = 0;  // of the metric "val_loss"
  std::vector<std::string> filepaths;
  std::map<std::string, std::string> parts;  // bytes by part
  v1::StorageOptions::Projection projection = v1::StorageOptions::PROJECTION_LINK;
};

// Drives one run, and notes in a ledger what it asks for before it does and what it was told after.
// Every function stops at the first error, as the server would, and returns it; what was received
// of a save whose publication failed is then given up.
class Trainer {
 public:
  // Both outlive this.
  Trainer(CheckpointStore& store, Ledger& ledger, std::string run = "r")
      : store_(store), ledger_(ledger), run_(std::move(run)) {}

  absl::Status CreateRun();
  absl::Status DeleteRun();
  // Events without decisions, in one batch.
  absl::Status Record(int count);
  // The steps of storage/checkpoint_store.h.
  absl::Status Decide(const SavePlan& plan);
  absl::Status Receive(uint64_t id);
  absl::Status Publish(uint64_t id, v1::Checkpoint* published);
  absl::Status Commit(const v1::Checkpoint& published, ApplyResult* result);
  absl::Status Project(const v1::Checkpoint& published);
  absl::Status Evict(const ApplyResult& result);
  // From Publish on.
  absl::Status Finish(uint64_t id);
  // All steps.
  absl::Status Save(const SavePlan& plan);
  // Goes on with every open save of the run, as a daemon and its trainers do after a restart.
  absl::Status FinishOpenSaves();
  absl::Status Abort(uint64_t id);
  absl::Status Delete(uint64_t id);
  // A stage: bytes that come before the decision on them.
  absl::Status Stage(const std::string& stage, const std::map<std::string, std::string>& parts);
  absl::Status DropStage(const std::string& stage);
  absl::Status Adopt(const std::string& stage, uint64_t id);

  // What only a careless server would do, to see that it is noticed: answer before the row is
  // there, commit what is not published, remove the files of a checkpoint that is wanted.
  void Acknowledge(uint64_t id);
  v1::Checkpoint Unpublished(uint64_t id) const;
  absl::Status RemoveFiles(uint64_t id);

 private:
  template <typename Change>
  void Note(Change change) {
    ledger_.Note([&](Expectation& all) { change(all[run_]); });
  }
  ExpectedSave SaveOf(uint64_t id) const { return ledger_.Read().at(run_).saves.at(id); }
  // An update that goes on where the run stands.
  absl::StatusOr<RunUpdate> NextUpdate();
  absl::Status Apply(const RunUpdate& update, ApplyResult* result = nullptr);
  void AddEvent(RunUpdate& update, v1::EventRecord record);
  absl::Status Upload(const PartTarget& target, const std::string& bytes);

  CheckpointStore& store_;
  Ledger& ledger_;
  const std::string run_;
};

}  // namespace ckpt::storage
