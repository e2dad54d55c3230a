// What an upload is for, whichever way its bytes come.
#pragma once

#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/training_service.pb.h"
#include "ckpt/v1/weight_service.pb.h"
#include "server/run/run_actor.h"
#include "server/run/run_registry.h"
#include "storage/checkpoint_store.h"

namespace ckpt::server {

// The part that `start` names, checked. NAME_INVALID, FIELD_INVALID, LIMIT_EXCEEDED. Pure.
absl::StatusOr<storage::PartTarget> ReadUploadTarget(const v1::UploadStart& start,
                                                     const v1::Limits& limits);

struct UploadTarget {
  std::shared_ptr<RunActor> run;  // of a save; null for a stage
  // The save was committed before, and a sender that never heard of it tries again: the answer.
  std::optional<v1::UploadFinished> finished;
  bool snapshot = false;  // the save is to be kept in memory
};

// Whether the save or stage of `target` takes bytes now: RUN_NOT_FOUND, SAVE_NOT_OPEN, DRAINING.
// May block: call it from a disk thread. `opened` must not block; it comes on any thread.
void OpenUploadTarget(const storage::CheckpointStore& store, RunRegistry& runs,
                      const storage::PartTarget& target,
                      absl::AnyInvocable<void(absl::StatusOr<UploadTarget>)> opened);

}  // namespace ckpt::server
