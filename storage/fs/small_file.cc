#include "storage/fs/small_file.h"

#include <fmt/format.h>

#include <cerrno>

#include "storage/base/errors.h"
#include "storage/fs/folders.h"

namespace ckpt::storage {
namespace {

// A temporary file of an earlier attempt is never written again: its sync may have failed.
absl::Status WriteNewFile(Directory& directory, const std::string& path, std::string_view content) {
  absl::Status removed = directory.Unlink(path);
  if (!removed.ok() && ErrnoOf(removed) != ENOENT) return removed;
  const auto file = directory.Open(path, OpenMode::kCreate);
  if (!file.ok()) return file.status();
  if (absl::Status status = (*file)->Write(0, {&content, 1}); !status.ok()) return status;
  return (*file)->Sync();
}

}  // namespace

absl::StatusOr<std::optional<std::string>> ReadSmallFile(Directory& directory,
                                                         const std::string& path,
                                                         int64_t max_bytes) {
  const auto file = directory.Open(path, OpenMode::kRead);
  if (ErrnoOf(file.status()) == ENOENT) return std::optional<std::string>();
  if (!file.ok()) return file.status();
  const auto info = (*file)->Info();
  if (!info.ok()) return info.status();
  if (info->size > max_bytes) {
    return FieldInvalid(path, fmt::format("{} bytes long", info->size),
                        fmt::format("at most {} bytes can be right", max_bytes));
  }
  std::string content(static_cast<size_t>(info->size), '\0');
  const auto got = (*file)->Read(0, content);
  if (!got.ok()) return got.status();
  content.resize(static_cast<size_t>(*got));
  return std::optional<std::string>(std::move(content));
}

absl::Status ReplaceSmallFile(Directory& directory, const std::string& path,
                              std::string_view content) {
  const std::string temporary = TemporaryFor(path);
  if (absl::Status status = WriteNewFile(directory, temporary, content); !status.ok()) {
    directory.Unlink(temporary).IgnoreError();
    return status;
  }
  if (absl::Status status = directory.Rename(temporary, path); !status.ok()) return status;
  return directory.Sync(FolderOf(path));
}

std::string TemporaryFor(const std::string& path) {
  const size_t name = path.rfind('/') + 1;  // npos + 1 is 0
  return fmt::format("{}.{}.tmp", path.substr(0, name), path.substr(name));
}

}  // namespace ckpt::storage
