#include "server/run/upload_target.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::server {
namespace {

constexpr int kMaxParts = 64;

absl::Status ReadOwner(const v1::UploadStart& start, storage::PartTarget& target) {
  if (start.has_save()) {
    auto ref = ParseCheckpointName(start.save());
    if (!ref.ok()) return ref.status();
    if (IsAlias(ref->id)) return FieldInvalid("save", start.save(), "it must name a save");
    target.run = std::move(ref->run);
    target.save = std::move(ref->id);
    return absl::OkStatus();
  }
  if (start.has_staged()) {
    auto run = ParseRunName(start.staged().run());
    if (!run.ok()) return run.status();
    target.run = *std::move(run);
    target.stage_id = start.staged().stage_id();
    return CheckStageId(target.stage_id);
  }
  return FieldInvalid("start.target", "", "it must be a save or a stage");
}

v1::UploadFinished FinishedBefore(const storage::PartTarget& target,
                                  const v1::Checkpoint& checkpoint) {
  v1::UploadFinished finished;
  *finished.mutable_checkpoint() = checkpoint;  // without parts if it exists no more
  for (const v1::Part& part : checkpoint.parts()) {
    if (part.rank() == target.rank && part.part() == target.part) *finished.mutable_part() = part;
  }
  return finished;
}

}  // namespace

absl::StatusOr<storage::PartTarget> ReadUploadTarget(const v1::UploadStart& start,
                                                     const v1::Limits& limits) {
  storage::PartTarget target;
  if (absl::Status status = ReadOwner(start, target); !status.ok()) return status;
  target.part = start.part().empty() ? "weights" : start.part();
  target.rank = start.rank();
  target.part_count = std::max(1, start.part_count());
  target.size_hint = start.size();
  if (auto status = CheckPartName(target.part); !status.ok()) return status;
  if (target.rank != 0) {
    return FieldInvalid("rank", std::to_string(target.rank), "runs of this version have rank 0");
  }
  if (start.part_count() < 0 || start.part_count() > kMaxParts) {
    return FieldInvalid("part_count", std::to_string(start.part_count()),
                        fmt::format("it must be 1 to {}", kMaxParts));
  }
  if (start.size() < 0 || start.offset() < 0) {
    return FieldInvalid("size and offset", fmt::format("{}, {}", start.size(), start.offset()),
                        "they must not be negative");
  }
  if (start.size() > limits.max_part_bytes()) {
    return LimitExceeded("bytes of one part", static_cast<uint64_t>(limits.max_part_bytes()),
                         static_cast<uint64_t>(start.size()));
  }
  return target;
}

void OpenUploadTarget(const storage::CheckpointStore& store, RunRegistry& runs,
                      const storage::PartTarget& target,
                      absl::AnyInvocable<void(absl::StatusOr<UploadTarget>)> opened) {
  if (target.save.empty()) {
    if (auto run = store.GetRun(target.run); !run.ok()) return opened(run.status());
    return opened(UploadTarget());
  }
  runs.Open(target.run, /*create=*/false,
            [target,
             opened = std::move(opened)](absl::StatusOr<std::shared_ptr<RunActor>> actor) mutable {
              if (!actor.ok()) return opened(actor.status());
              (*actor)->OpenUpload(
                  target.save, [target, actor = *actor, opened = std::move(opened)](
                                   absl::StatusOr<v1::Checkpoint> save) mutable {
                    if (!save.ok()) return opened(save.status());
                    UploadTarget result{std::move(actor), std::nullopt, IsSnapshot(*save)};
                    if (save->state() == v1::Checkpoint::STATE_COMMITTED) {
                      result.finished = FinishedBefore(target, *save);
                    }
                    opened(std::move(result));
                  });
            });
}

}  // namespace ckpt::server
