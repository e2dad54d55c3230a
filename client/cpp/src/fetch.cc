#include "client/cpp/src/fetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/cpp/src/local_file.h"
#include "storage/base/digest.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::client {
namespace {

constexpr int64_t kProgressBytes = 4 << 20;

// Tells the user how far a fetch has come, over all of its parts.
class Progress {
 public:
  Progress(const FetchOptions& options, int64_t total) : options_(options), total_(total) {}

  void Set(int64_t done_in_part) {
    const int64_t done = before_part_ + done_in_part;
    if (!options_.progress || (done != total_ && std::abs(done - told_) < kProgressBytes)) return;
    told_ = done;
    options_.progress(done, total_);
  }
  void NextPart(int64_t finished_bytes) { before_part_ += finished_bytes; }

 private:
  const FetchOptions& options_;
  const int64_t total_;
  int64_t before_part_ = 0;
  int64_t told_ = 0;
};

// A part on its way into a file, and the digest of what the file has.
class PartFile {
 public:
  static absl::StatusOr<PartFile> Open(const std::string& path) {
    absl::StatusOr<LocalFile> file = LocalFile::Open(path);
    if (!file.ok()) return file.status();
    return PartFile(*std::move(file), path);
  }

  // Makes the file the content of `part`. What it has already is taken for the beginning; if the
  // digest then says it was not, everything is read once more from the start.
  absl::Status Complete(const v1::Part& part, std::string_view checkpoint, const PartReader& read,
                        Progress& progress) {
    if (absl::Status status = DigestExisting(part.size()); !status.ok()) return status;
    bool resumed = digest_.size() > 0;
    while (true) {
      if (absl::Status status = ReadOn(part, read, progress); !status.ok()) return status;
      if (digest_.size() == part.size() && digest_.Whole() == part.xxh3_128()) return file_.Sync();
      if (absl::Status status = StartOver(); !status.ok()) return status;
      if (!std::exchange(resumed, false)) {
        (void)RemoveFile(path_);  // nothing in it is worth resuming
        return BlobCorrupt(checkpoint, part.part(), "the received bytes do not match its digest");
      }
    }
  }

 private:
  PartFile(LocalFile file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

  absl::Status DigestExisting(int64_t at_most) {
    const absl::StatusOr<int64_t> size = file_.Size();
    if (!size.ok()) return size.status();
    if (*size > at_most) return StartOver();
    return file_.ReadAll([this](std::string_view bytes) { digest_.Update(bytes); });
  }

  absl::Status ReadOn(const v1::Part& part, const PartReader& read, Progress& progress) {
    progress.Set(digest_.size());
    if (digest_.size() == part.size()) return absl::OkStatus();
    return read(part, digest_.size(), [&](Pieces pieces) {
      int64_t size = 0;
      for (const std::string_view piece : pieces) size += std::ssize(piece);
      if (size > part.size() - digest_.size()) {
        return absl::DataLossError(
            fmt::format("part '{}' does not end where it should", part.part()));
      }
      if (absl::Status status = file_.Append(pieces); !status.ok()) return status;
      for (const std::string_view piece : pieces) digest_.Update(piece);
      progress.Set(digest_.size());
      return absl::OkStatus();
    });
  }

  absl::Status StartOver() {
    digest_ = WholeDigest();
    return file_.Clear();
  }

  LocalFile file_;
  const std::string path_;
  WholeDigest digest_;
};

absl::Status FetchPart(const v1::Part& part, std::string_view checkpoint, const std::string& path,
                       const PartReader& read, Progress& progress) {
  absl::StatusOr<PartFile> file = PartFile::Open(path);
  if (!file.ok()) return file.status();
  return file->Complete(part, checkpoint, read, progress);
}

absl::Status FetchFile(const v1::Part& part, std::string_view checkpoint, const std::string& path,
                       const PartReader& read, Progress& progress) {
  if (IsFolder(path)) {
    return absl::FailedPreconditionError(fmt::format(
        "'{}' is a folder; name the file to write, such as '{}/{}'", path, path, part.part()));
  }
  if (IsNoFile(path)) {
    return absl::FailedPreconditionError(fmt::format(
        "'{}' is a link or a device, and the download would replace it; name a file", path));
  }
  const std::string partial = path + ".part";
  const absl::Status status = FetchPart(part, checkpoint, partial, read, progress);
  return status.ok() ? RenameDurably(partial, path) : status;
}

absl::Status FetchFolder(const std::vector<v1::Part>& parts, std::string_view checkpoint,
                         const std::string& path, const PartReader& read, Progress& progress) {
  if (Exists(path)) {
    return absl::FailedPreconditionError(fmt::format(
        "'{}' exists, and {} parts make a folder; name another, or one part with --part", path,
        parts.size()));
  }
  for (const v1::Part& part : parts) {  // their names become names of files
    if (absl::Status status = CheckPartName(part.part()); !status.ok()) return status;
  }
  const std::string partial = path + ".part";
  const auto is_part = [&](std::string_view name) {
    return std::any_of(parts.begin(), parts.end(),
                       [&](const v1::Part& part) { return part.part() == name; });
  };
  if (absl::Status status = PrepareFolder(partial, is_part); !status.ok()) return status;
  for (const v1::Part& part : parts) {
    const std::string file = fmt::format("{}/{}", partial, part.part());
    if (absl::Status status = FetchPart(part, checkpoint, file, read, progress); !status.ok()) {
      return status;
    }
    progress.NextPart(part.size());
  }
  if (absl::Status status = SyncFolder(partial); !status.ok()) return status;
  return RenameDurably(partial, path);
}

}  // namespace

absl::StatusOr<std::vector<v1::Part>> SelectParts(const v1::Checkpoint& checkpoint, int rank,
                                                  std::string_view part) {
  std::vector<v1::Part> selected;
  std::string available;
  for (const v1::Part& candidate : checkpoint.parts()) {
    if (candidate.rank() == rank && (part.empty() || candidate.part() == part)) {
      selected.push_back(candidate);
    }
    available += fmt::format("{}{} (rank {})", available.empty() ? "" : ", ", candidate.part(),
                             candidate.rank());
  }
  if (selected.empty()) return PartNotFound(checkpoint.name(), part, available);
  return selected;
}

absl::StatusOr<v1::Part> SelectOnePart(const v1::Checkpoint& checkpoint, std::string_view part) {
  absl::StatusOr<std::vector<v1::Part>> parts = SelectParts(checkpoint, 0, part);
  if (!parts.ok()) return parts.status();
  if (parts->size() == 1) return std::move(parts->front());
  return FieldInvalid("part", part, fmt::format("there are {} parts", parts->size()));
}

absl::Status FetchCheckpoint(const v1::Checkpoint& checkpoint, const std::string& path,
                             const FetchOptions& options, const PartReader& read) {
  const absl::StatusOr<std::vector<v1::Part>> parts =
      SelectParts(checkpoint, options.rank, options.part);
  if (!parts.ok()) return parts.status();
  int64_t total = 0;
  for (const v1::Part& part : *parts) total += part.size();
  if (path.empty() || path.back() == '/') {
    return absl::InvalidArgumentError(
        fmt::format("'{}' is no name to write to; add the file's, such as 'best.bin'", path));
  }
  Progress progress(options, total);
  return parts->size() == 1 ? FetchFile(parts->front(), checkpoint.name(), path, read, progress)
                            : FetchFolder(*parts, checkpoint.name(), path, read, progress);
}

}  // namespace ckpt::client
