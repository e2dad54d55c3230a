#include "storage/catalog/index_db.h"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <functional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "storage/base/errors.h"
#include "storage/base/format_version.h"
#include "storage/catalog/catalog.h"
#include "storage/catalog/index_options.h"
#include "storage/catalog/key_encoding.h"
#include "storage/catalog/torn_log.h"

namespace ckpt::storage {
namespace {

constexpr std::array<std::string_view, 9> kTableNames = {
    "meta", "runs", "saves", "checkpoints", "ranking", "names", "evictions", "events", "history"};
constexpr std::string_view kVersionKey = "version";

constexpr int64_t kMinCacheBytes = 4 << 20;
constexpr int kCacheShardBits = 2;  // each shard holds many of the 256 KiB that memtables reserve
constexpr size_t kRoomBeyondFlush = 1 << 20;  // for a new log and manifest, after a full disk

rocksdb::Slice ToSlice(std::string_view text) { return {text.data(), text.size()}; }

std::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

absl::Status ToStatus(const rocksdb::Status& status, std::string_view operation) {
  if (status.ok()) return absl::OkStatus();
  const std::string what = fmt::format("{} the index: {}", operation, status.ToString());
  // A file that is not there was deleted behind our back: nothing here asks for others.
  if (status.IsCorruption() || status.IsPathNotFound()) return IndexDamaged(what);
  return status.IsNoSpace() ? DiskFull(what) : StorageFailed(what);
}

class ErrorListener final : public rocksdb::EventListener {
 public:
  explicit ErrorListener(std::function<void(const std::string&)> on_error)
      : on_error_(std::move(on_error)) {}

  void OnBackgroundError(rocksdb::BackgroundErrorReason /*reason*/,
                         rocksdb::Status* status) override {
    if (status->IsNoSpace() && status->severity() < rocksdb::Status::Severity::kFatalError) {
      disk_full = true;
    } else if (on_error_) {
      on_error_(status->ToString());
    }
  }

  // By itself RocksDB would try at once. If its new log finds the disk still full, it never tries
  // again: GoOn looks for room first.
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason /*reason*/, rocksdb::Status /*error*/,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }

  std::atomic<bool> disk_full = false;  // no write is taken until GoOn

 private:
  std::function<void(const std::string&)> on_error_;
};

std::vector<rocksdb::ColumnFamilyDescriptor> Describe(
    const std::vector<std::string>& names, const std::shared_ptr<rocksdb::Cache>& cache) {
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const std::string& name : names) {
    descriptors.emplace_back(name, MakeTableOptions(name, cache));
  }
  return descriptors;
}

// Opens all column families of the index; `db` and `handles` are set on success.
rocksdb::Status OpenTables(const rocksdb::DBOptions& options,
                           const std::shared_ptr<rocksdb::Cache>& cache, const std::string& path,
                           std::vector<rocksdb::ColumnFamilyHandle*>* handles, rocksdb::DB** db) {
  std::vector<std::string> names = {rocksdb::kDefaultColumnFamilyName};
  if (options.env->FileExists(path + "/CURRENT").ok()) {
    const auto listed = rocksdb::DB::ListColumnFamilies(options, path, &names);
    if (!listed.ok()) return listed;
  }
  return rocksdb::DB::Open(options, path, Describe(names, cache), handles, db);
}

// RocksDB would begin an empty index beside the files of one that has lost its root.
absl::Status CheckRoot(rocksdb::Env& env, const std::string& path) {
  if (env.FileExists(path + "/CURRENT").ok()) return absl::OkStatus();
  std::vector<std::string> files;
  env.GetChildren(path, &files).PermitUncheckedError();  // no folder yet: no files
  for (const std::string& file : files) {
    if (file.ends_with(".sst") || file.ends_with(".log")) {
      return IndexDamaged(
          fmt::format("opening the index: '{}' has {} but no CURRENT file", path, file));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<int>> ParseVersion(std::string_view text) {
  int version = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || rest != text.data() + text.size()) {
    return IndexDamaged("opening the index: its version row is damaged");
  }
  return version;
}

}  // namespace

std::string_view TableName(Table table) { return kTableNames.at(static_cast<size_t>(table)); }

// ---- IndexDb

struct IndexDb::Rep {
  ~Rep() {
    for (rocksdb::ColumnFamilyHandle* handle : handles) {
      db->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
    }
    // Nothing can be lost here: every write was synced.
    if (db != nullptr) db->Close().PermitUncheckedError();
  }

  rocksdb::ColumnFamilyHandle* Handle(Table table) const {
    return tables[static_cast<size_t>(table)];
  }

  absl::StatusOr<std::optional<std::string>> Get(const rocksdb::ReadOptions& options, Table table,
                                                 std::string_view key) const {
    std::string value;
    const rocksdb::Status status = db->Get(options, Handle(table), ToSlice(key), &value);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) return ToStatus(status, "reading");
    return value;
  }

  // Takes the database over, and finds the tables among `handles`.
  void TakeTables(rocksdb::DB* opened);
  // Version of an existing index; nothing for a new one.
  absl::StatusOr<std::optional<int>> Version() const;
  absl::Status CreateMissingTables(const std::shared_ptr<rocksdb::Cache>& cache);
  absl::Status HaveSomethingToFlush() const;
  absl::Status LookForRoom() const;
  absl::Status GoOn() const;

  std::shared_ptr<ErrorListener> errors;  // of an index that is written
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;  // all, owned
  std::array<rocksdb::ColumnFamilyHandle*, kTableNames.size()> tables = {};
};

void IndexDb::Rep::TakeTables(rocksdb::DB* opened) {
  db.reset(opened);
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    const auto* name = std::find(kTableNames.begin(), kTableNames.end(), handle->GetName());
    if (name != kTableNames.end()) tables[name - kTableNames.begin()] = handle;
  }
}

// The version row is written last: an index without it was still being created, and is empty.
absl::StatusOr<std::optional<int>> IndexDb::Rep::Version() const {
  if (Handle(Table::kMeta) == nullptr) return std::nullopt;
  const auto text = Get({}, Table::kMeta, kVersionKey);
  if (!text.ok()) return text.status();
  if (!text->has_value()) return std::nullopt;
  return ParseVersion(**text);
}

absl::Status IndexDb::Rep::CreateMissingTables(const std::shared_ptr<rocksdb::Cache>& cache) {
  for (size_t i = 0; i < kTableNames.size(); ++i) {
    if (tables[i] != nullptr) continue;
    const rocksdb::Status status = db->CreateColumnFamily(MakeTableOptions(kTableNames[i], cache),
                                                          std::string(kTableNames[i]), &tables[i]);
    if (!status.ok()) return ToStatus(status, "creating");
    handles.push_back(tables[i]);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<IndexDb>> IndexDb::Open(const CatalogOptions& options) {
  const int64_t cache_bytes = std::max(options.cache_bytes, kMinCacheBytes);
  const auto cache = rocksdb::NewLRUCache(cache_bytes, kCacheShardBits);
  rocksdb::DBOptions db_options = MakeDbOptions(options, cache);

  if (absl::Status s = CheckRoot(*db_options.env, options.path); !s.ok()) return s;
  auto rep = std::make_unique<Rep>();
  rep->errors = std::make_shared<ErrorListener>(options.on_error);
  db_options.listeners.push_back(rep->errors);
  rocksdb::DB* db = nullptr;
  const auto open = [&] { return OpenTables(db_options, cache, options.path, &rep->handles, &db); };
  rocksdb::Status status = open();
  if (status.IsCorruption()) {
    const auto cut = CutTornTails(*db_options.env, options.path);
    if (!cut.ok()) return cut.status();
    if (*cut) status = open();
  }
  if (!status.ok()) return ToStatus(status, "opening");
  rep->TakeTables(db);

  const auto version = rep->Version();
  if (!version.ok()) return version.status();
  if (version->value_or(0) > kIndexVersion) {
    return VersionTooNew("the index", **version, kIndexVersion);
  }
  if (absl::Status s = rep->CreateMissingTables(cache); !s.ok()) return s;
  std::unique_ptr<IndexDb> index(new IndexDb(std::move(rep)));
  if (version->value_or(0) < kIndexVersion) {
    Batch batch = index->NewBatch();
    batch.Put(Table::kMeta, kVersionKey, std::to_string(kIndexVersion));
    if (absl::Status s = index->Write(std::move(batch)); !s.ok()) return s;
  }
  return index;
}

absl::StatusOr<std::unique_ptr<IndexDb>> IndexDb::OpenDamaged(const std::string& path) {
  const auto cache = rocksdb::NewLRUCache(kMinCacheBytes, kCacheShardBits);
  rocksdb::DBOptions options = MakeDbOptions({.path = path, .on_error = {}}, cache);
  options.create_if_missing = false;
  options.paranoid_checks = false;
  options.track_and_verify_wals_in_manifest = false;
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
  std::vector<std::string> names;
  rocksdb::Status status = rocksdb::DB::ListColumnFamilies(options, path, &names);
  if (!status.ok()) return ToStatus(status, "opening");
  auto rep = std::make_unique<Rep>();
  rocksdb::DB* db = nullptr;
  status = rocksdb::DB::OpenForReadOnly(options, path, Describe(names, cache), &rep->handles, &db);
  if (!status.ok()) return ToStatus(status, "opening");
  rep->TakeTables(db);
  // What is missing is read as empty.
  for (auto& table : rep->tables) table = table == nullptr ? db->DefaultColumnFamily() : table;
  const auto version = rep->Version();
  if (version.ok() && version->value_or(0) > kIndexVersion) {
    return VersionTooNew("the index", **version, kIndexVersion);
  }
  return std::unique_ptr<IndexDb>(new IndexDb(std::move(rep)));
}

absl::Status IndexDb::Repair(const std::string& path) {
  const auto cache = rocksdb::NewLRUCache(kMinCacheBytes, kCacheShardBits);
  const auto options = MakeDbOptions({.path = path, .on_error = {}}, cache);
  const auto table = MakeTableOptions(rocksdb::kDefaultColumnFamilyName, cache);
  return ToStatus(
      rocksdb::RepairDB(path, options, {{rocksdb::kDefaultColumnFamilyName, table}}, table),
      "repairing");
}

IndexDb::IndexDb(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
IndexDb::~IndexDb() = default;

// ---- Cursor

struct Cursor::Rep {
  // The iterator points at the slices, which point at the strings.
  std::string lower;
  std::string upper;
  rocksdb::Slice lower_slice;
  rocksdb::Slice upper_slice;
  std::unique_ptr<rocksdb::Iterator> iterator;
};

Cursor::Cursor(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
Cursor::~Cursor() = default;
Cursor::Cursor(Cursor&&) noexcept = default;

void Cursor::SeekToFirst() { rep_->iterator->SeekToFirst(); }
void Cursor::SeekToLast() { rep_->iterator->SeekToLast(); }
void Cursor::Seek(std::string_view key) { rep_->iterator->Seek(ToSlice(key)); }
void Cursor::SeekForPrev(std::string_view key) { rep_->iterator->SeekForPrev(ToSlice(key)); }
void Cursor::Next() { rep_->iterator->Next(); }
void Cursor::Prev() { rep_->iterator->Prev(); }
bool Cursor::Valid() const { return rep_->iterator->Valid(); }
std::string_view Cursor::key() const { return ToView(rep_->iterator->key()); }
std::string_view Cursor::value() const { return ToView(rep_->iterator->value()); }
absl::Status Cursor::status() const { return ToStatus(rep_->iterator->status(), "reading"); }

// ---- ReadView

struct ReadView::Rep {
  explicit Rep(const IndexDb::Rep* owner) : index(owner) {
    options.snapshot = index->db->GetSnapshot();
  }
  ~Rep() { index->db->ReleaseSnapshot(options.snapshot); }

  const IndexDb::Rep* index;
  rocksdb::ReadOptions options;
};

ReadView::ReadView(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
ReadView::~ReadView() = default;
ReadView::ReadView(ReadView&&) noexcept = default;

absl::StatusOr<std::optional<std::string>> ReadView::Get(Table table, std::string_view key) const {
  return rep_->index->Get(rep_->options, table, key);
}

Cursor ReadView::Scan(Table table, std::string_view prefix) const {
  auto cursor = std::make_unique<Cursor::Rep>();
  cursor->lower = prefix;
  cursor->upper = PrefixEnd(prefix);
  cursor->lower_slice = cursor->lower;
  cursor->upper_slice = cursor->upper;
  rocksdb::ReadOptions options = rep_->options;
  if (!cursor->lower.empty()) options.iterate_lower_bound = &cursor->lower_slice;
  if (!cursor->upper.empty()) options.iterate_upper_bound = &cursor->upper_slice;
  cursor->iterator.reset(rep_->index->db->NewIterator(options, rep_->index->Handle(table)));
  return Cursor(std::move(cursor));
}

ReadView IndexDb::View() const { return ReadView(std::make_unique<ReadView::Rep>(rep_.get())); }

// ---- Batch

struct Batch::Rep {
  static std::string SeenKey(Table table, std::string_view key) {
    std::string seen(1, static_cast<char>(table));
    return seen.append(key);
  }

  const IndexDb::Rep* index;
  rocksdb::WriteBatch writes;
  // What the last Put or Delete of a key made of it. Keys begin with the table.
  std::unordered_map<std::string, std::optional<std::string>> seen;
};

Batch::Batch(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
Batch::~Batch() = default;
Batch::Batch(Batch&&) noexcept = default;

absl::StatusOr<std::optional<std::string>> Batch::Get(Table table, std::string_view key) const {
  const auto seen = rep_->seen.find(Rep::SeenKey(table, key));
  if (seen != rep_->seen.end()) return seen->second;
  return rep_->index->Get({}, table, key);
}

// A WriteBatch refuses nothing but keys or values of 4 GiB: its statuses are of no interest.

void Batch::Put(Table table, std::string_view key, std::string_view value) {
  PutUnseen(table, key, value);
  rep_->seen[Rep::SeenKey(table, key)] = value;
}

void Batch::Delete(Table table, std::string_view key) {
  DeleteUnseen(table, key);
  rep_->seen[Rep::SeenKey(table, key)] = std::nullopt;
}

void Batch::PutUnseen(Table table, std::string_view key, std::string_view value) {
  rep_->writes.Put(rep_->index->Handle(table), ToSlice(key), ToSlice(value)).PermitUncheckedError();
}

void Batch::DeleteUnseen(Table table, std::string_view key) {
  rep_->writes.Delete(rep_->index->Handle(table), ToSlice(key)).PermitUncheckedError();
}

void Batch::DeletePrefixUnseen(Table table, std::string_view prefix) {
  rep_->writes.DeleteRange(rep_->index->Handle(table), ToSlice(prefix), PrefixEnd(prefix))
      .PermitUncheckedError();
}

Batch IndexDb::NewBatch() const {
  auto batch = std::make_unique<Batch::Rep>();
  batch->index = rep_.get();
  return Batch(std::move(batch));
}

absl::Status IndexDb::Copy(const std::string& path) const {
  rocksdb::Checkpoint* made = nullptr;
  rocksdb::Status status = rocksdb::Checkpoint::Create(rep_->db.get(), &made);
  if (!status.ok()) return ToStatus(status, "copying");
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  return ToStatus(checkpoint->CreateCheckpoint(path), "copying");
}

// After a full disk RocksDB goes on with a new log only if it has something to flush. Else it would
// use the one whose last write had failed, and its assertions, which Debian's library has, would
// end the process. So something is in memory before any write: the deletion of a row that is not.
absl::Status IndexDb::Rep::HaveSomethingToFlush() const {
  uint64_t entries = 0;
  const bool known = db->GetIntProperty(
      Handle(Table::kMeta), rocksdb::DB::Properties::kNumEntriesActiveMemTable, &entries);
  if (known && entries > 0) return absl::OkStatus();
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  return ToStatus(db->Delete(options, Handle(Table::kMeta), ""), "writing");
}

// Whether a file as large as what RocksDB is going to flush can be made: DISK_FULL, STORAGE_FAILED.
absl::Status IndexDb::Rep::LookForRoom() const {
  rocksdb::Env& env = *db->GetEnv();
  const std::string path = db->GetName() + "/room.probe";
  uint64_t bytes = 0;
  db->GetAggregatedIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &bytes);
  std::unique_ptr<rocksdb::WritableFile> probe;
  rocksdb::Status status = env.NewWritableFile(path, &probe, rocksdb::EnvOptions());
  const std::string block(kRoomBeyondFlush, '\0');
  for (uint64_t written = 0; status.ok() && written < bytes + kRoomBeyondFlush;
       written += block.size()) {
    status = probe->Append(block);
  }
  if (status.ok()) status = probe->Sync();
  if (probe != nullptr) probe->Close().PermitUncheckedError();
  env.DeleteFile(path).PermitUncheckedError();
  return ToStatus(status, "writing");
}

// After a full disk: flushes what is in memory and begins a new log, if there is room for both.
absl::Status IndexDb::Rep::GoOn() const {
  if (absl::Status s = LookForRoom(); !s.ok()) return s;
  const rocksdb::Status resumed = db->Resume();
  if (resumed.ok()) errors->disk_full = false;
  return ToStatus(resumed, "writing");
}

absl::Status IndexDb::Write(Batch batch) {
  if (rep_->errors->disk_full) {
    if (absl::Status s = rep_->GoOn(); !s.ok()) return s;
  }
  if (absl::Status s = rep_->HaveSomethingToFlush(); !s.ok()) return s;
  rocksdb::WriteOptions options;
  options.sync = true;
  return ToStatus(rep_->db->Write(options, &batch.rep_->writes), "writing");
}

}  // namespace ckpt::storage
