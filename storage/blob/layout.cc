#include "storage/blob/layout.h"

#include <fmt/format.h>

#include <algorithm>

#include "storage/base/digest.h"
#include "storage/base/names.h"

namespace ckpt::storage {
namespace {

constexpr std::string_view kStagePrefix = "stage.";
constexpr std::string_view kSessionPrefix = ".";
constexpr std::string_view kSessionSuffix = ".session";
constexpr size_t kMaxRankDigits = 10;

bool IsDecimal(std::string_view text, size_t max_digits) {
  return !text.empty() && text.size() <= max_digits && text[0] != '0' &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool IsSaveId(std::string_view id) {
  return !IsAlias(id) && ParseCheckpointName(CheckpointName("r", id)).ok();
}

}  // namespace

std::string SaveFolderName(std::string_view run, std::string_view save, std::string_view stage_id) {
  return save.empty() ? fmt::format("{}@{}{}", run, kStagePrefix, stage_id)
                      : fmt::format("{}@{}", run, save);
}

std::optional<SaveFolder> ParseSaveFolderName(std::string_view name) {
  const size_t at = name.find('@');
  if (at == std::string_view::npos || !CheckRunId(name.substr(0, at)).ok()) return std::nullopt;
  SaveFolder folder{std::string(name.substr(0, at)), "", ""};
  const std::string_view rest = name.substr(at + 1);
  if (rest.starts_with(kStagePrefix)) {
    folder.stage_id = rest.substr(kStagePrefix.size());
    if (!CheckStageId(folder.stage_id).ok()) return std::nullopt;
  } else {
    folder.save = rest;
    if (!IsSaveId(folder.save)) return std::nullopt;
  }
  return folder;
}

std::string StagingPath(std::string_view save_folder) {
  return fmt::format("{}/{}", kStagingFolder, save_folder);
}

std::string BlobShardPath(std::string_view save_folder) {
  const std::string digest = BlockDigest(save_folder);  // big-endian: the low byte is the last
  return fmt::format("{}/{}", kBlobsFolder, Hex(std::string_view(digest).substr(7)));
}

std::string BlobPath(std::string_view save_folder) {
  return fmt::format("{}/{}", BlobShardPath(save_folder), save_folder);
}

std::string RunPath(std::string_view run) { return fmt::format("{}/{}", kRunsFolder, run); }

std::string PartFileName(int rank, std::string_view part) {
  return rank == 0 ? std::string(part) : fmt::format("{}@{}", part, rank);
}

bool IsPartFileName(std::string_view name) {
  const size_t at = name.find('@');
  if (!CheckPartName(name.substr(0, at)).ok()) return false;
  return at == std::string_view::npos || IsDecimal(name.substr(at + 1), kMaxRankDigits);
}

std::string SessionFileName(std::string_view part_file) {
  return fmt::format("{}{}{}", kSessionPrefix, part_file, kSessionSuffix);
}

std::optional<std::string> ParseSessionFileName(std::string_view name) {
  if (!name.starts_with(kSessionPrefix) || !name.ends_with(kSessionSuffix)) return std::nullopt;
  if (name.size() <= kSessionPrefix.size() + kSessionSuffix.size()) return std::nullopt;
  name.remove_prefix(kSessionPrefix.size());
  name.remove_suffix(kSessionSuffix.size());
  if (!IsPartFileName(name)) return std::nullopt;
  return std::string(name);
}

}  // namespace ckpt::storage
