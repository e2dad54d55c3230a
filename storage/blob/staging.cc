#include "storage/blob/staging.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "storage/blob/layout.h"
#include "storage/blob/part_writer.h"
#include "storage/blob/records.h"
#include "storage/blob/session_file.h"
#include "storage/fs/folders.h"

namespace ckpt::storage {
namespace {

absl::Status CheckTarget(const PartTarget& target) {
  const std::string folder = SaveFolderName(target.run, target.save, target.stage_id);
  if (target.save.empty() == target.stage_id.empty() || !ParseSaveFolderName(folder)) {
    return NameInvalid("upload target", folder, "{run}@{save} or {run}@stage.{stage_id}");
  }
  if (absl::Status status = CheckPartName(target.part); !status.ok()) return status;
  if (target.rank < 0) return FieldInvalid("rank", std::to_string(target.rank), "ranks begin at 0");
  if (target.part_count < 1) {
    return FieldInvalid("part_count", std::to_string(target.part_count), "it must be 1 or more");
  }
  if (target.size_hint < 0) {
    return FieldInvalid("size", std::to_string(target.size_hint), "it must be 0 or more");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::PartSession>> FinishedSessions(Directory& root,
                                                              const std::string& folder) {
  std::vector<v1::PartSession> sessions;
  const auto entries = root.List(StagingPath(folder));
  if (ErrnoOf(entries.status()) == ENOENT) return sessions;
  if (!entries.ok()) return entries.status();
  for (const DirectoryEntry& entry : *entries) {
    const auto part_file = ParseSessionFileName(entry.name);
    if (!part_file.has_value()) continue;
    auto session = ReadSession(root, folder, *part_file);
    if (!session.ok()) return session.status();
    if (session->has_value() && (*session)->finished()) sessions.push_back(**std::move(session));
  }
  std::sort(sessions.begin(), sessions.end(),
            [](const auto& a, const auto& b) { return PartBefore(a.part(), b.part()); });
  return sessions;
}

// Whether a rank has finished as many parts as each of its uploads announced.
bool RankIsComplete(const std::vector<v1::PartSession>& sessions, int rank) {
  const auto of_rank = [rank](const v1::PartSession& session) {
    return session.part().rank() == rank;
  };
  const auto count = std::count_if(sessions.begin(), sessions.end(), of_rank);
  return count > 0 && std::all_of(sessions.begin(), sessions.end(), [&](const auto& session) {
           return !of_rank(session) || session.part_count() == count;
         });
}

}  // namespace

absl::Status Staging::Add(const std::string& folder) {
  const auto entries = root_.List(StagingPath(folder));
  if (!entries.ok()) return entries.status();
  for (const DirectoryEntry& entry : *entries) {
    if (!IsPartFileName(entry.name)) continue;
    const auto info = root_.Info(StagingPath(folder) + '/' + entry.name);
    if (!info.ok()) return info.status();
    if (info->has_value()) table_.Add(folder, entry.name, (*info)->size);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<PartWriter>> Staging::OpenPart(const PartTarget& target) {
  if (absl::Status status = CheckTarget(target); !status.ok()) return status;
  return StagedPartWriter::Open(root_, table_, space_, target);
}

absl::StatusOr<std::vector<v1::Part>> Staging::FinishedParts(const std::string& folder) {
  auto sessions = FinishedSessions(root_, folder);
  if (!sessions.ok()) return sessions.status();
  std::vector<v1::Part> parts;
  parts.reserve(sessions->size());
  for (v1::PartSession& session : *sessions) parts.push_back(std::move(*session.mutable_part()));
  return parts;
}

absl::StatusOr<std::optional<std::vector<v1::Part>>> Staging::CompleteParts(
    const std::string& folder, int world_size) {
  auto sessions = FinishedSessions(root_, folder);
  if (!sessions.ok()) return sessions.status();
  for (int rank = 0; rank < world_size; ++rank) {
    if (!RankIsComplete(*sessions, rank)) return std::optional<std::vector<v1::Part>>();
  }
  std::vector<v1::Part> parts;
  for (v1::PartSession& session : *sessions) {
    if (session.part().rank() < world_size) parts.push_back(std::move(*session.mutable_part()));
  }
  return std::optional(std::move(parts));
}

absl::Status Staging::Adopt(std::string_view run, std::string_view stage_id,
                            std::string_view save) {
  const std::string stage_folder = SaveFolderName(run, "", stage_id);
  const std::string save_folder = SaveFolderName(run, save, "");
  auto from = table_.ClaimFolder(stage_folder);
  if (!from.ok()) return from.status();
  auto to = table_.ClaimFolder(save_folder);
  if (!to.ok()) return to.status();
  const auto stage = root_.Info(StagingPath(stage_folder));
  if (!stage.ok()) return stage.status();
  if (!stage->has_value()) {
    return AliasUnresolved(run, fmt::format("stage {}", stage_id), "nothing was staged under it");
  }
  // What the save has received is given up for the stage, which is untouched until the rename.
  if (const auto removed = RemoveTree(root_, StagingPath(save_folder)); !removed.ok()) {
    return removed.status();
  }
  to->Forget();
  absl::Status renamed = root_.Rename(StagingPath(stage_folder), StagingPath(save_folder));
  if (!renamed.ok()) return renamed;
  from->MoveTo(*to);
  return root_.Sync(kStagingFolder);
}

absl::Status Staging::Discard(const std::string& folder) {
  auto claim = table_.SeizeFolder(folder);
  if (!claim.ok()) return claim.status();
  const auto removed = RemoveTree(root_, StagingPath(folder));
  if (!removed.ok()) return removed.status();
  claim->Forget();
  return *removed ? root_.Sync(kStagingFolder) : absl::OkStatus();
}

absl::Status Staging::DiscardRun(std::string_view run) {
  absl::Status status;
  for (const std::string& folder : table_.folders()) {
    const auto parsed = ParseSaveFolderName(folder);
    if (parsed.has_value() && parsed->run == run) status.Update(Discard(folder));
  }
  return status;
}

}  // namespace ckpt::storage
