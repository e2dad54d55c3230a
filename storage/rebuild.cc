#include "storage/rebuild.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <utility>

#include "absl/time/time.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "storage/blob/blob_store.h"
#include "storage/blob/layout.h"
#include "storage/blob/records.h"
#include "storage/blob/staging.h"
#include "storage/catalog/catalog.h"
#include "storage/catalog/key_encoding.h"
#include "storage/catalog/salvage.h"
#include "storage/data_dir.h"
#include "storage/fs/folders.h"
#include "storage/fs/posix_file_system.h"
#include "storage/names.h"
#include "storage/rebuilt_run.h"

namespace ckpt::storage {
namespace {

constexpr char kScratchFolder[] = "index.salvage";
constexpr size_t kBatchRows = 1000;

using Manifests = std::map<uint64_t, v1::Manifest>;  // of one run, by id, without block digests
using Checkpoints = std::map<uint64_t, v1::Checkpoint>;

// A time in a folder's name.
std::string StampOf(const Clock& clock) {
  return absl::FormatTime("%Y%m%dT%H%M%SZ", absl::FromUnixNanos(clock.UnixNanos()),
                          absl::UTCTimeZone());
}

class Rebuild {
 public:
  Rebuild(DataDir data, const Clock& clock, int64_t cache_bytes)
      : data_(std::move(data)), clock_(clock), cache_bytes_(cache_bytes) {}

  absl::StatusOr<RebuildReport> Run();

 private:
  Directory& root() { return *data_.root; }
  std::string Absolute(const char* folder) const { return data_.path + '/' + folder; }

  // Removes what an earlier rebuild left, or brings it to its end: true then.
  absl::StatusOr<bool> ResumeEarlier();
  absl::Status ReadOldIndex();
  absl::Status ReadManifests();
  absl::Status ReadManifest(const std::string& folder);
  absl::Status SetUnknownBlobsAside();
  absl::Status BuildIndex();
  absl::Status BuildRun(const std::string& run);
  // What is to be committed: checkpoints whose files are there, by id.
  absl::StatusOr<Checkpoints> CheckpointsOf(const std::string& run);
  absl::Status Apply(RunUpdate update, Checkpoints* checkpoints = nullptr);
  absl::Status CommitAll(const std::string& run, Checkpoints* checkpoints);
  absl::Status CopyEvents(const std::string& run, const std::vector<v1::MetricName>& metrics,
                          EventSummary* summary);
  absl::Status PutInPlace();
  // A name of the form "<stem>.damaged-<time>" that is free.
  absl::StatusOr<std::string> DamagedName(const std::string& stem);

  const DataDir data_;
  const Clock& clock_;
  const int64_t cache_bytes_;
  Staging staging_{*data_.root};
  BlobStore blobs_{*data_.root, staging_, clock_};

  std::unique_ptr<Salvage> salvage_;  // null: there was no index
  std::map<std::string, SalvagedRun> salvaged_;
  std::map<std::string, Manifests> manifests_;     // by run
  std::map<std::string, std::string> unreadable_;  // save folder, and its blob's path
  std::unique_ptr<Catalog> catalog_;
  RebuildReport report_;
};

absl::StatusOr<RebuildReport> Rebuild::Run() {
  const auto resumed = ResumeEarlier();
  if (!resumed.ok()) return resumed.status();
  report_.resumed = *resumed;
  if (*resumed) return report_;
  using Step = absl::Status (Rebuild::*)();
  for (const Step step : {&Rebuild::ReadOldIndex, &Rebuild::ReadManifests, &Rebuild::BuildIndex,
                          &Rebuild::SetUnknownBlobsAside, &Rebuild::PutInPlace}) {
    if (absl::Status status = (this->*step)(); !status.ok()) return status;
  }
  return report_;
}

absl::StatusOr<bool> Rebuild::ResumeEarlier() {
  const auto index = root().Info(kIndexFolder);
  if (!index.ok()) return index.status();
  const auto rebuilt = root().Info(kRebuiltIndexFolder);
  if (!rebuilt.ok()) return rebuilt.status();
  if (!index->has_value() && rebuilt->has_value()) {
    absl::Status renamed = root().Rename(kRebuiltIndexFolder, kIndexFolder);
    if (renamed.ok()) renamed = root().Sync(".");
    if (!renamed.ok()) return renamed;
    return true;
  }
  // A daemon may have gone on with the old index since.
  for (const char* folder : {kRebuiltIndexFolder, kRebuildingIndexFolder, kScratchFolder}) {
    if (const auto removed = RemoveTree(root(), folder); !removed.ok()) return removed.status();
  }
  return false;
}

absl::Status Rebuild::ReadOldIndex() {
  const auto index = root().Info(kIndexFolder);
  if (!index.ok()) return index.status();
  if (!index->has_value()) return absl::OkStatus();
  auto salvage = Salvage::Open(Absolute(kIndexFolder), Absolute(kScratchFolder));
  if (!salvage.ok()) return salvage.status();
  salvage_ = *std::move(salvage);
  salvaged_ = salvage_->runs();
  report_.salvaged = !salvaged_.empty();
  return absl::OkStatus();
}

absl::Status Rebuild::ReadManifests() {
  const auto shards = root().List(kBlobsFolder);
  if (!shards.ok()) return shards.status();
  for (const DirectoryEntry& shard : *shards) {
    if (shard.kind != FileKind::kDirectory) continue;
    const std::string path = fmt::format("{}/{}", kBlobsFolder, shard.name);
    const auto blobs = root().List(path);
    if (!blobs.ok()) return blobs.status();
    for (const DirectoryEntry& blob : *blobs) {
      if (path != BlobShardPath(blob.name)) continue;  // not ours
      if (absl::Status status = ReadManifest(blob.name); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status Rebuild::ReadManifest(const std::string& folder) {
  const auto save = ParseSaveFolderName(folder);
  if (!save.has_value() || save->save.empty()) return absl::OkStatus();
  const auto id = ParseCheckpointId(save->save);
  if (!id.has_value()) return absl::OkStatus();
  v1::Checkpoint named;
  named.set_name(CheckpointName(save->run, save->save));
  auto manifest = blobs_.ReadManifest(named);
  if (ReasonOf(manifest.status()) == v1::ERROR_REASON_VERSION_TOO_NEW) return manifest.status();
  if (!manifest.ok()) {
    unreadable_[folder] = BlobPath(folder);
    return absl::OkStatus();
  }
  *manifest->mutable_checkpoint() = WithoutBlockDigests(std::move(*manifest->mutable_checkpoint()));
  manifests_[save->run][*id] = *std::move(manifest);
  return absl::OkStatus();
}

absl::Status Rebuild::BuildIndex() {
  auto catalog = Catalog::Open(
      {.path = Absolute(kRebuildingIndexFolder), .cache_bytes = cache_bytes_, .on_error = {}});
  if (!catalog.ok()) return catalog.status();
  catalog_ = *std::move(catalog);
  std::set<std::string> runs;
  for (const auto& [run, rows] : salvaged_) runs.insert(run);
  for (const auto& [run, manifests] : manifests_) runs.insert(run);
  for (const std::string& run : runs) {
    if (absl::Status status = BuildRun(run); !status.ok()) return status;
  }
  const Catalog::Totals totals = catalog_->GetTotals();
  report_.runs = totals.runs;
  report_.checkpoints = totals.checkpoints;
  report_.salvaged_all = salvage_ != nullptr && salvage_->complete();
  return absl::OkStatus();
}

absl::StatusOr<Checkpoints> Rebuild::CheckpointsOf(const std::string& run) {
  Checkpoints checkpoints;
  for (const auto& [id, manifest] : manifests_[run]) {
    v1::Checkpoint& checkpoint = checkpoints[id] = manifest.checkpoint();
    // Nothing tells whether a copy was made.
    Names::MarkCopies(&checkpoint);
  }
  for (const auto& [id, row] : salvaged_[run].checkpoints) {
    const auto stored = checkpoints.find(id);
    if (stored != checkpoints.end()) {
      // The row knows which names the checkpoint has lost since.
      if (SameSave(stored->second, row)) stored->second = row;
      continue;
    }
    const std::string folder = SaveFolderName(run, std::to_string(id), "");
    if (unreadable_.erase(folder) > 0) {
      checkpoints[id] = row;  // its manifest is damaged; that is for a verification to find
    } else {
      ++report_.dropped_rows;
    }
  }
  return checkpoints;
}

absl::Status Rebuild::BuildRun(const std::string& run) {
  const SalvagedRun& salvaged = salvaged_[run];
  auto checkpoints = CheckpointsOf(run);
  if (!checkpoints.ok()) return checkpoints.status();
  if (!salvaged.run.has_value() && checkpoints->empty()) return absl::OkStatus();
  RunUpdate begin;
  begin.run = run;
  begin.run_row = RebuildRunRow(run, salvaged.run, manifests_[run]);
  begin.new_metrics = salvaged.metrics;
  if (absl::Status status = Apply(begin); !status.ok()) return status;
  if (absl::Status status = CommitAll(run, &*checkpoints); !status.ok()) return status;
  const bool was_deleted =
      !salvaged.run.has_value() && !salvaged.evictions.empty() && checkpoints->empty();
  if (was_deleted) return catalog_->DeleteRun(run).status();  // nothing but its evictions is left
  EventSummary events;
  absl::Status copied = CopyEvents(run, salvaged.metrics, &events);
  if (!copied.ok()) return copied;
  RunUpdate end;
  end.run = run;
  end.progress = RebuildProgress(*begin.run_row, salvaged.progress, *checkpoints, events);
  return Apply(std::move(end));
}

// In order of id, so that names go from older to newer checkpoints as they did. Those that are to
// be evicted are left out of `checkpoints`.
absl::Status Rebuild::CommitAll(const std::string& run, Checkpoints* checkpoints) {
  RunUpdate update;
  update.run = run;
  const Checkpoints all = *checkpoints;
  for (const auto& [id, checkpoint] : all) {
    update.committed.push_back(checkpoint);
    const auto eviction = salvaged_[run].evictions.find(id);
    if (eviction != salvaged_[run].evictions.end() && SameSave(eviction->second, checkpoint)) {
      update.deleted.push_back(std::to_string(id));
    }
    if (update.committed.size() < kBatchRows) continue;
    absl::Status applied = Apply(std::exchange(update, {.run = run}), checkpoints);
    if (!applied.ok()) return applied;
  }
  return Apply(std::move(update), checkpoints);
}

absl::Status Rebuild::Apply(RunUpdate update, Checkpoints* checkpoints) {
  const auto applied = catalog_->Apply({&update, 1});
  if (!applied.ok() || checkpoints == nullptr) return applied.status();
  for (const v1::Eviction& eviction : applied->evictions) {
    const auto ref = ParseCheckpointName(eviction.checkpoint().name());
    if (ref.ok()) checkpoints->erase(ParseCheckpointId(ref->id).value_or(0));
  }
  return absl::OkStatus();
}

absl::Status Rebuild::CopyEvents(const std::string& run, const std::vector<v1::MetricName>& metrics,
                                 EventSummary* summary) {
  if (salvage_ == nullptr) return absl::OkStatus();
  std::set<uint32_t> known;
  for (const v1::MetricName& metric : metrics) known.insert(metric.id());
  // An id without a name will be given to another metric.
  const auto is_known = [&](const auto& ids) {
    return std::all_of(ids.begin(), ids.end(), [&](uint32_t id) { return known.contains(id); });
  };
  RunUpdate update;
  update.run = run;
  absl::Status status;
  salvage_->ForEachEvent(run, [&](EventRow row) {
    summary->Add(row);
    const v1::Event& event = row.record.event();
    if (!is_known(event.metric_ids()) || !is_known(event.integer_metric_ids())) {
      ++report_.dropped_events;
      return;
    }
    ++report_.events;
    update.events.Add(std::move(row));
    if (update.events.size() < kBatchRows || !status.ok()) return;
    status = Apply(std::exchange(update, {.run = run}));
  });
  if (!status.ok()) return status;
  return Apply(std::move(update));
}

// Without a row they would be orphans to the next start, and be removed.
absl::Status Rebuild::SetUnknownBlobsAside() {
  if (unreadable_.empty()) return absl::OkStatus();
  const auto name = DamagedName(kBlobsFolder);
  if (!name.ok()) return name.status();
  if (absl::Status made = EnsureFolder(root(), *name); !made.ok()) return made;
  report_.set_aside = *name;
  for (const auto& [folder, path] : unreadable_) {
    absl::Status moved = root().Rename(path, *name + '/' + folder);
    if (moved.ok()) moved = root().Sync(FolderOf(path));
    if (!moved.ok()) return moved;
    report_.unknown_blobs.push_back(folder);
  }
  return root().Sync(*name);
}

absl::Status Rebuild::PutInPlace() {
  catalog_.reset();
  salvage_.reset();
  if (const auto removed = RemoveTree(root(), kScratchFolder); !removed.ok()) {
    return removed.status();
  }
  absl::Status status = root().Rename(kRebuildingIndexFolder, kRebuiltIndexFolder);
  if (status.ok()) status = root().Sync(".");
  if (!status.ok()) return status;
  const auto index = root().Info(kIndexFolder);
  if (!index.ok()) return index.status();
  if (index->has_value()) {
    const auto name = DamagedName(kIndexFolder);
    if (!name.ok()) return name.status();
    report_.old_index = *name;
    status = root().Rename(kIndexFolder, *name);
    if (status.ok()) status = root().Sync(".");
    if (!status.ok()) return status;
  }
  status = root().Rename(kRebuiltIndexFolder, kIndexFolder);
  return status.ok() ? root().Sync(".") : status;
}

absl::StatusOr<std::string> Rebuild::DamagedName(const std::string& stem) {
  const std::string name = fmt::format("{}.damaged-{}", stem, StampOf(clock_));
  for (int i = 1;; ++i) {
    std::string candidate = i == 1 ? name : fmt::format("{}-{}", name, i);
    const auto there = root().Info(candidate);
    if (!there.ok()) return there.status();
    if (!there->has_value()) return candidate;
  }
}

}  // namespace

absl::StatusOr<RebuildReport> RebuildIndex(const RebuildOptions& options) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(options.data_dir, ignored)) {
    return FieldInvalid("data_dir", options.data_dir, "there is no such folder");
  }
  PosixFileSystem real;
  FileSystem& file_system = options.file_system != nullptr ? *options.file_system : real;
  const SystemClock system_clock;
  const Clock& clock = options.clock != nullptr ? *options.clock : system_clock;
  auto data = OpenDataDir(file_system, options.data_dir);
  if (!data.ok()) return data.status();
  return Rebuild(*std::move(data), clock, options.index_cache_bytes).Run();
}

}  // namespace ckpt::storage
