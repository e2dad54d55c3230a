#include "storage/checkpoint_store.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "storage/backup.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "storage/blob/blob_store.h"
#include "storage/blob/layout.h"
#include "storage/blob/part_reader.h"
#include "storage/blob/records.h"
#include "storage/blob/run_folder.h"
#include "storage/blob/staging.h"
#include "storage/catalog/catalog.h"
#include "storage/data_dir.h"
#include "storage/fs/folders.h"
#include "storage/fs/posix_file_system.h"
#include "storage/names.h"
#include "storage/recovery.h"
#include "storage/verify.h"

namespace ckpt::storage {
namespace {

class Store final : public CheckpointStore {
 public:
  Store(std::unique_ptr<FileSystem> own_file_system, FileSystem& file_system, const Clock& clock,
        DataDir data, std::unique_ptr<Catalog> catalog, int64_t free_space_reserve_bytes)
      : own_file_system_(std::move(own_file_system)),
        file_system_(file_system),
        clock_(clock),
        data_(std::move(data)),
        catalog_(std::move(catalog)),
        staging_(*data_.root, free_space_reserve_bytes) {}

  absl::Status Recover(int64_t stage_timeout_seconds);

  const v1::RecoveryReport& recovery() const override { return recovery_.report; }
  const std::string& data_dir() const override { return data_.path; }
  const std::vector<std::string>& unfinished_runs() const override {
    return recovery_.unfinished_runs;
  }

  absl::StatusOr<ApplyResult> Apply(std::span<const RunUpdate> updates) override;
  absl::StatusOr<ApplyResult> DeleteRun(std::string_view run) override;

  absl::StatusOr<std::unique_ptr<PartWriter>> OpenPart(const PartTarget& target) override {
    return staging_.OpenPart(target);
  }
  absl::StatusOr<std::optional<std::vector<v1::Part>>> CompleteParts(std::string_view run,
                                                                     std::string_view save,
                                                                     std::string_view stage_id,
                                                                     int world_size) override;
  absl::Status AdoptStage(std::string_view run, std::string_view stage_id,
                          std::string_view save) override;
  absl::Status Discard(std::string_view run, std::string_view save,
                       std::string_view stage_id) override;
  absl::StatusOr<v1::Checkpoint> Publish(const v1::Checkpoint& save) override;

  absl::Status CheckName(std::string_view run, std::string_view filepath) override {
    return names_.Check(run, std::string(filepath));
  }
  absl::StatusOr<v1::Checkpoint> Project(const v1::Checkpoint& checkpoint) override {
    return names_.Project(checkpoint);
  }
  absl::Status Evict(const v1::Eviction& eviction) override;
  absl::Status RemoveRunFolder(std::string_view run) override;

  absl::StatusOr<RunSnapshot> LoadRun(std::string_view run) const override;
  absl::StatusOr<v1::Run> GetRun(std::string_view run) const override {
    return catalog_->GetRun(run);
  }
  absl::StatusOr<RunPage> ListRuns(int page_size, std::string_view page_token,
                                   std::string_view filter) const override {
    return catalog_->ListRuns(page_size, page_token, filter);
  }
  absl::StatusOr<v1::Checkpoint> GetCheckpoint(std::string_view run,
                                               std::string_view id) const override {
    return catalog_->GetCheckpoint(run, id);
  }
  absl::StatusOr<v1::Checkpoint> GetLatest(std::string_view run) const override {
    return catalog_->GetLatest(run);
  }
  absl::StatusOr<v1::Checkpoint> GetBest(std::string_view run, std::string_view metric,
                                         bool maximize, std::string_view policy) const override {
    return catalog_->GetBest(run, metric, maximize, policy);
  }
  absl::StatusOr<CheckpointPage> ListCheckpoints(const CheckpointQuery& query) const override {
    return catalog_->ListCheckpoints(query);
  }
  absl::StatusOr<EventPage> ListEvents(std::string_view run, int rank, int page_size,
                                       std::string_view page_token) const override {
    return catalog_->ListEvents(run, rank, page_size, page_token);
  }
  absl::StatusOr<std::optional<v1::EventRecord>> GetEvent(std::string_view run, int rank,
                                                          uint64_t seq) const override {
    return catalog_->GetEvent(run, rank, seq);
  }
  absl::StatusOr<Series> GetSeries(const SeriesQuery& query) const override {
    return catalog_->GetSeries(query);
  }
  absl::StatusOr<std::unique_ptr<PartReader>> OpenRead(std::string_view run, std::string_view id,
                                                       int rank,
                                                       std::string_view part) const override;
  absl::StatusOr<StoreStats> Stats() const override;

  absl::StatusOr<std::unique_ptr<Verification>> Verify(const VerifyOptions& options) override {
    return MakeVerification({*this, *data_.root, *catalog_, blobs_, names_}, options);
  }
  absl::StatusOr<std::unique_ptr<Backup>> BackUp(const std::string& path) override;
  absl::StatusOr<v1::ScrubState> GetScrubState() const override {
    return catalog_->GetScrubState();
  }
  absl::Status SetScrubState(const v1::ScrubState& state) override {
    return catalog_->SetScrubState(state);
  }

 private:
  const std::unique_ptr<FileSystem> own_file_system_;  // null when the caller's is used
  FileSystem& file_system_;
  const Clock& clock_;
  const DataDir data_;
  const std::unique_ptr<Catalog> catalog_;
  Staging staging_;
  mutable BlobStore blobs_{*data_.root, staging_, clock_};
  Names names_{*data_.root, *catalog_};
  RecoveryResult recovery_;  // constant after Open
  std::atomic<bool> backing_up_ = false;
};

absl::Status Store::Recover(int64_t stage_timeout_seconds) {
  const int64_t begin = clock_.UnixNanos();
  auto recovered = storage::Recover({.store = *this,
                                     .root = *data_.root,
                                     .catalog = *catalog_,
                                     .staging = staging_,
                                     .blobs = blobs_,
                                     .names = names_,
                                     .now_unix_nanos = begin,
                                     .stage_timeout_seconds = stage_timeout_seconds});
  if (!recovered.ok()) return recovered.status();
  recovery_ = *std::move(recovered);
  *recovery_.report.mutable_took() =
      google::protobuf::util::TimeUtil::NanosecondsToDuration(clock_.UnixNanos() - begin);
  return absl::OkStatus();
}

// Step 5. Copies are made after it; their rows say so until then.
absl::StatusOr<ApplyResult> Store::Apply(std::span<const RunUpdate> updates) {
  const auto commits = [](const RunUpdate& update) { return !update.committed.empty(); };
  if (std::ranges::none_of(updates, commits)) return catalog_->Apply(updates);
  std::vector<RunUpdate> marked(updates.begin(), updates.end());
  for (RunUpdate& update : marked) {
    for (v1::Checkpoint& checkpoint : update.committed) Names::MarkCopies(&checkpoint);
  }
  return catalog_->Apply(marked);
}

absl::StatusOr<ApplyResult> Store::DeleteRun(std::string_view run) {
  auto result = catalog_->DeleteRun(run);
  // The run is gone whatever becomes of these bytes; recovery would remove them, too.
  if (result.ok()) staging_.DiscardRun(run).IgnoreError();
  return result;
}

absl::StatusOr<std::optional<std::vector<v1::Part>>> Store::CompleteParts(std::string_view run,
                                                                          std::string_view save,
                                                                          std::string_view stage_id,
                                                                          int world_size) {
  auto parts = staging_.CompleteParts(SaveFolderName(run, save, stage_id), world_size);
  if (parts.ok() && parts->has_value()) {
    for (v1::Part& part : **parts) part.clear_block_digests();
  }
  return parts;
}

absl::Status Store::AdoptStage(std::string_view run, std::string_view stage_id,
                               std::string_view save) {
  return staging_.Adopt(run, stage_id, save);
}

absl::Status Store::Discard(std::string_view run, std::string_view save,
                            std::string_view stage_id) {
  return staging_.Discard(SaveFolderName(run, save, stage_id));
}

// Steps 3 and 4. The manifest says of the run what its row says and nothing else does.
absl::StatusOr<v1::Checkpoint> Store::Publish(const v1::Checkpoint& save) {
  const auto ref = ParseCheckpointName(save.name());
  if (!ref.ok()) return ref.status();
  auto run = catalog_->GetRun(ref->run);
  if (ReasonOf(run.status()) == v1::ERROR_REASON_RUN_NOT_FOUND) run = v1::Run();  // deleted since
  if (!run.ok()) return run.status();
  v1::Run row;
  row.set_name(run->name());
  *row.mutable_labels() = run->labels();
  *row.mutable_policies() = run->policies();
  if (run->has_create_time()) *row.mutable_create_time() = run->create_time();
  return blobs_.Publish(save, row);
}

// Step 8: names first, then the blob, then the eviction row: each step finds what it needs as long
// as it is not done.
absl::Status Store::Evict(const v1::Eviction& eviction) {
  const v1::Checkpoint& checkpoint = eviction.checkpoint();
  const auto ref = ParseCheckpointName(checkpoint.name());
  if (!ref.ok()) return ref.status();
  if (absl::Status status = names_.Remove(checkpoint); !status.ok()) return status;
  if (absl::Status status = blobs_.Remove(checkpoint); !status.ok()) return status;
  return catalog_->FinishEviction(ref->run, ref->id);
}

absl::Status Store::RemoveRunFolder(std::string_view run) {
  if (absl::Status status = CheckRunId(run); !status.ok()) return status;
  return RemoveEmptyRunFolder(*data_.root, run);
}

absl::StatusOr<RunSnapshot> Store::LoadRun(std::string_view run) const {
  auto snapshot = catalog_->LoadRun(run);
  if (!snapshot.ok()) return snapshot;
  for (const v1::Checkpoint& save : snapshot->open_saves) {
    auto published = blobs_.FindPublished(save);
    if (!published.ok()) return published.status();
    if (published->has_value()) snapshot->published.push_back(**std::move(published));
  }
  return snapshot;
}

absl::StatusOr<std::unique_ptr<PartReader>> Store::OpenRead(std::string_view run,
                                                            std::string_view id, int rank,
                                                            std::string_view part) const {
  const auto checkpoint = catalog_->GetCheckpoint(run, id);
  if (!checkpoint.ok()) return checkpoint.status();
  const auto manifest = blobs_.ReadManifest(*checkpoint);
  auto reader = manifest.ok() ? OpenPartReader(*data_.root, *checkpoint, *manifest, rank, part)
                              : manifest.status();
  if (ReasonOf(reader.status()) != v1::ERROR_REASON_BLOB_CORRUPT) return reader;
  // Not damaged, if it was evicted in between.
  const auto still = catalog_->GetCheckpoint(run, id);
  return still.ok() ? std::move(reader) : still.status();
}

absl::StatusOr<StoreStats> Store::Stats() const {
  const auto free = data_.root->FreeBytes();
  if (!free.ok()) return free.status();
  const Catalog::Totals totals = catalog_->GetTotals();
  return StoreStats{.runs = totals.runs,
                    .checkpoints = totals.checkpoints,
                    .checkpoint_bytes = totals.checkpoint_bytes,
                    .open_saves = totals.open_saves,
                    .staged_bytes = staging_.bytes(),
                    .free_bytes = *free};
}

absl::StatusOr<std::unique_ptr<Backup>> Store::BackUp(const std::string& path) {
  if (backing_up_.exchange(true)) return LimitExceeded("backups at once", 1, 2);
  const std::shared_ptr<void> turn(
      &backing_up_, [](void* flag) { static_cast<std::atomic<bool>*>(flag)->store(false); });
  return MakeBackup({file_system_, data_.path, *data_.root, *catalog_, blobs_}, path, turn);
}

const Clock& SystemClockInstance() {
  static const SystemClock kClock;
  return kClock;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CheckpointStore>> CheckpointStore::Open(
    const StoreOptions& options) {
  std::unique_ptr<FileSystem> own;
  FileSystem* file_system = options.file_system;
  if (file_system == nullptr) {
    own = std::make_unique<PosixFileSystem>();
    file_system = own.get();
  }
  const Clock& clock = options.clock != nullptr ? *options.clock : SystemClockInstance();
  auto data = OpenDataDir(*file_system, options.data_dir);
  if (!data.ok()) return data.status();
  absl::Status index = CheckIndex(*data->root, data->path);
  if (!index.ok()) return index;
  const auto unfinished = RemoveTree(*data->root, kBackupStagingFolder);
  if (!unfinished.ok()) return unfinished.status();
  auto catalog = Catalog::Open({.path = data->path + '/' + kIndexFolder,
                                .cache_bytes = options.index_cache_bytes,
                                .on_error = options.on_index_error,
                                .env = options.index_env});
  if (!catalog.ok()) return catalog.status();
  auto store = std::make_unique<Store>(std::move(own), *file_system, clock, *std::move(data),
                                       *std::move(catalog), options.free_space_reserve_bytes);
  absl::Status recovered = store->Recover(options.stage_timeout_seconds);
  if (!recovered.ok()) return Annotate(recovered, "recovery of the data folder failed");
  return store;
}

}  // namespace ckpt::storage
