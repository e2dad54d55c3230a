#include "storage/blob/session_file.h"

#include <utility>

#include "storage/base/errors.h"
#include "storage/blob/layout.h"
#include "storage/blob/records.h"
#include "storage/fs/small_file.h"

namespace ckpt::storage {
namespace {

bool Fits(const v1::PartSession& session, const std::optional<FileInfo>& data) {
  if (!data.has_value() || data->kind != FileKind::kFile) return false;
  return session.finished() ? data->size == session.part().size()
                            : data->size >= session.persisted();
}

}  // namespace

absl::StatusOr<std::optional<v1::PartSession>> ReadSession(Directory& root,
                                                           const std::string& save_folder,
                                                           const std::string& part_file) {
  const std::string folder = StagingPath(save_folder) + '/';
  const auto json = ReadSmallFile(root, folder + SessionFileName(part_file), kMaxRecordBytes);
  const bool too_large = ReasonOf(json.status()) == v1::ERROR_REASON_FIELD_INVALID;
  if (!json.ok() && !too_large) return json.status();
  if (too_large || !json->has_value()) return std::optional<v1::PartSession>();
  auto session = DecodeSession(**json);
  if (!session.ok() || PartFileName(session->part().rank(), session->part().part()) != part_file) {
    return std::optional<v1::PartSession>();
  }
  const auto data = root.Info(folder + part_file);
  if (!data.ok()) return data.status();
  if (!Fits(*session, *data)) return std::optional<v1::PartSession>();
  return std::optional<v1::PartSession>(*std::move(session));
}

}  // namespace ckpt::storage
