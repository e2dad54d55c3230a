#include "storage/names.h"

#include <fmt/format.h>

#include <map>

#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "storage/blob/layout.h"
#include "storage/blob/projection.h"

namespace ckpt::storage {
namespace {

constexpr char kNotYet[] = "the copy is not made yet";

ProjectedName NameOf(const v1::Checkpoint& checkpoint, const CheckpointRef& ref,
                     const v1::Placement& placement) {
  ProjectedName name{.run = ref.run,
                     .filepath = placement.filepath(),
                     .projection = placement.options().projection(),
                     .blob = BlobPath(SaveFolderName(ref.run, ref.id, "")),
                     .files = {},
                     .temporary = fmt::format("{}{}", kTemporaryPrefix, ref.id)};
  for (const v1::Part& part : checkpoint.parts()) {
    name.files.push_back(PartFileName(part.rank(), part.part()));
  }
  return name;
}

}  // namespace

absl::StatusOr<bool> Names::IsOwned(std::string_view run, const std::string& filepath) const {
  const auto owner = catalog_.NameOwner(run, filepath);
  if (!owner.ok()) return owner.status();
  return owner->has_value();
}

absl::StatusOr<bool> Names::IsOwner(const CheckpointRef& ref, const std::string& filepath) const {
  const auto owner = catalog_.NameOwner(ref.run, filepath);
  if (!owner.ok()) return owner.status();
  return *owner == ref.id;
}

absl::Status Names::Check(std::string_view run, const std::string& filepath) {
  if (absl::Status status = CheckRunId(run); !status.ok()) return status;
  return CheckName(root_, run, filepath,
                   [&](const std::string& path) { return IsOwned(run, path); });
}

absl::StatusOr<v1::Checkpoint> Names::Project(const v1::Checkpoint& checkpoint) {
  const auto ref = ParseCheckpointName(checkpoint.name());
  if (!ref.ok()) return ref.status();
  const auto lock = runs_.Lock(ref->run);
  v1::Checkpoint projected = checkpoint;
  std::map<std::string, std::string> errors;  // by file path: two policies may choose the same
  for (v1::Placement& placement : *projected.mutable_placements()) {
    const auto is_owner = IsOwner(*ref, placement.filepath());
    if (!is_owner.ok()) return is_owner.status();
    if (!*is_owner) continue;
    const auto [error, is_new] = errors.try_emplace(placement.filepath());
    if (is_new) {
      const absl::Status placed =
          PlaceName(root_, NameOf(projected, *ref, placement),
                    [&](const std::string& path) { return IsOwned(ref->run, path); });
      error->second = MessageOf(placed);
      absl::Status recorded = Record(*ref, placement, error->second);
      if (!recorded.ok()) return recorded;
    }
    placement.set_projection_error(error->second);
  }
  return projected;
}

absl::Status Names::Record(const CheckpointRef& ref, const v1::Placement& placement,
                           const std::string& error) {
  // A copy's row says kNotYet by now, whatever the caller's says.
  const bool is_known =
      error == placement.projection_error() && !IsCopy(placement.options().projection());
  if (is_known) return absl::OkStatus();
  return catalog_.SetProjectionError(ref.run, ref.id, placement.filepath(), error);
}

absl::StatusOr<std::string> Names::Problem(const v1::Checkpoint& checkpoint,
                                           const v1::Placement& placement) const {
  const auto ref = ParseCheckpointName(checkpoint.name());
  if (!ref.ok()) return ref.status();
  const auto owner = catalog_.NameOwner(ref->run, placement.filepath());
  if (!owner.ok()) return owner.status();
  if (!owner->has_value()) return std::string("the index does not know the name");
  if (**owner != ref->id) return fmt::format("the index gives the name to checkpoint {}", **owner);
  if (!placement.projection_error().empty()) return placement.projection_error();
  const auto in_place = IsInPlace(root_, NameOf(checkpoint, *ref, placement));
  if (!in_place.ok()) return in_place.status();
  return std::string(*in_place ? "" : "it is missing, or is not the checkpoint's file");
}

absl::StatusOr<bool> Names::AreInPlace(const v1::Checkpoint& checkpoint) const {
  const auto ref = ParseCheckpointName(checkpoint.name());
  if (!ref.ok()) return ref.status();
  for (const v1::Placement& placement : checkpoint.placements()) {
    const auto is_owner = IsOwner(*ref, placement.filepath());
    if (!is_owner.ok()) return is_owner.status();
    if (!*is_owner) continue;
    if (!placement.projection_error().empty()) return false;
    auto in_place = IsInPlace(root_, NameOf(checkpoint, *ref, placement));
    if (!in_place.ok() || !*in_place) return in_place;
  }
  return true;
}

absl::Status Names::Remove(const v1::Checkpoint& checkpoint) {
  const auto ref = ParseCheckpointName(checkpoint.name());
  if (!ref.ok()) return ref.status();
  const auto lock = runs_.Lock(ref->run);
  for (const v1::Placement& placement : checkpoint.placements()) {
    const auto is_owned = IsOwned(ref->run, placement.filepath());
    if (!is_owned.ok()) return is_owned.status();
    if (*is_owned) continue;
    absl::Status removed = RemoveName(root_, NameOf(checkpoint, *ref, placement));
    if (!removed.ok()) return removed;
  }
  return absl::OkStatus();
}

void Names::MarkCopies(v1::Checkpoint* checkpoint) {
  for (v1::Placement& placement : *checkpoint->mutable_placements()) {
    if (IsCopy(placement.options().projection())) placement.set_projection_error(kNotYet);
  }
}

}  // namespace ckpt::storage
