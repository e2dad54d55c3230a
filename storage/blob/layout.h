// Names of files and folders below the data folder. Pure. FORMAT.md shows the whole tree.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ckpt::storage {

inline constexpr char kVersionFile[] = "VERSION";
inline constexpr char kLockFile[] = "LOCK";
inline constexpr char kIndexFolder[] = "index";
inline constexpr char kRebuildingIndexFolder[] = "index.rebuilding";  // unfinished, worth nothing
inline constexpr char kRebuiltIndexFolder[] = "index.rebuilt";        // complete, to become index/
inline constexpr char kBackupStagingFolder[] = "backup.staging";      // of a backup under way
inline constexpr char kStagingFolder[] = "staging";
inline constexpr char kBlobsFolder[] = "blobs";
inline constexpr char kRunsFolder[] = "runs";
inline constexpr char kManifestFile[] = "manifest.json";

// Parts are staged, and later stored, in one folder for each save. '@' is in no id.
struct SaveFolder {
  std::string run;
  std::string save;      // empty for a stage
  std::string stage_id;  // empty for a save
};

// "<run>@<save>" or "<run>@stage.<stage_id>".
std::string SaveFolderName(std::string_view run, std::string_view save, std::string_view stage_id);
// The reverse; nothing for any other name.
std::optional<SaveFolder> ParseSaveFolderName(std::string_view name);

// "staging/<name>".
std::string StagingPath(std::string_view save_folder);
// "blobs/<xx>", where xx spreads the saves over 256 folders.
std::string BlobShardPath(std::string_view save_folder);
// "blobs/<xx>/<name>".
std::string BlobPath(std::string_view save_folder);
// "runs/<run>".
std::string RunPath(std::string_view run);

// A part's file: "<part>" for rank 0, else "<part>@<rank>".
std::string PartFileName(int rank, std::string_view part);
// Whether `name` is what PartFileName gives for some part.
bool IsPartFileName(std::string_view name);
// The part's session: ".<part file>.session". No part's name begins with a dot.
std::string SessionFileName(std::string_view part_file);
// The part file of a session; nothing for any other name.
std::optional<std::string> ParseSessionFileName(std::string_view name);

// Prefix of the names that are used below runs/ while a projected name is being made.
inline constexpr std::string_view kTemporaryPrefix = ".ckptd-";

}  // namespace ckpt::storage
