#include "storage/catalog/salvage.h"

#include <fmt/format.h>
#include <rocksdb/env.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "storage/catalog/index_db.h"
#include "storage/catalog/key_encoding.h"
#include "storage/catalog/rows.h"
#include "storage/history/history_rows.h"

namespace ckpt::storage {
namespace {

constexpr std::string_view kManifestPrefix = "MANIFEST-";
constexpr std::array kTablesToRead = {Table::kRuns, Table::kCheckpoints, Table::kEvictions,
                                      Table::kEvents, Table::kHistory};

absl::Status ToStatus(const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string what = fmt::format("salvaging the index: {}", status.ToString());
  return status.IsNoSpace() ? DiskFull(what) : StorageFailed(what);
}

// Links every file of `path` into the new folder `scratch`, and sees to it that its CURRENT names
// the newest MANIFEST there is. RocksDB never changes a finished file in place, so that nothing
// that is done to the copy is seen in the original.
absl::Status MakeLinkedCopy(rocksdb::Env& env, const std::string& path,
                            const std::string& scratch) {
  std::vector<std::string> files;
  rocksdb::Status status = env.GetChildren(path, &files);
  if (status.ok()) status = env.CreateDir(scratch);
  if (!status.ok()) return ToStatus(status);
  std::string newest;
  for (const std::string& file : files) {
    bool is_folder = false;
    if (!env.IsDirectory(path + '/' + file, &is_folder).ok() || is_folder) continue;
    if (file == "CURRENT" || file == "LOCK") continue;
    if (file.starts_with(kManifestPrefix)) newest = std::max(newest, file);
    status = env.LinkFile(path + '/' + file, scratch + '/' + file);
    if (!status.ok()) return ToStatus(status);
  }
  if (newest.empty()) return absl::OkStatus();
  std::string current;
  rocksdb::ReadFileToString(&env, path + "/CURRENT", &current).PermitUncheckedError();
  const bool names_one =
      current.ends_with('\n') &&
      std::find(files.begin(), files.end(), current.substr(0, current.size() - 1)) != files.end();
  return ToStatus(rocksdb::WriteStringToFile(&env, names_one ? current : newest + '\n',
                                             scratch + "/CURRENT", /*should_sync=*/false));
}

// An index of whose tables each can at least be entered; nothing if there is none.
absl::StatusOr<std::unique_ptr<IndexDb>> OpenUsable(const std::string& path) {
  auto index = IndexDb::OpenDamaged(path);
  if (ckpt::ReasonOf(index.status()) == v1::ERROR_REASON_VERSION_TOO_NEW) return index.status();
  if (!index.ok()) return std::unique_ptr<IndexDb>();
  const ReadView view = (*index)->View();
  for (const Table table : kTablesToRead) {
    Cursor cursor = view.Scan(table, "");
    cursor.SeekToFirst();
    if (!cursor.status().ok()) return std::unique_ptr<IndexDb>();
  }
  return index;
}

using EventId = std::pair<int, uint64_t>;  // rank, sequence number

v1::EventRecord RecordOf(v1::Event event) {
  v1::EventRecord record;
  *record.mutable_event() = std::move(event);
  return record;
}

class RocksSalvage final : public Salvage {
 public:
  explicit RocksSalvage(std::unique_ptr<IndexDb> index) : index_(std::move(index)) {}

  void ReadAll();
  const std::map<std::string, SalvagedRun>& runs() const override { return runs_; }
  void ForEachEvent(std::string_view run, absl::FunctionRef<void(EventRow)> each) override;
  bool complete() const override { return complete_; }

 private:
  using Row = absl::FunctionRef<bool(std::string_view key, std::string_view value)>;

  // Calls `take` with the rows up to the first damage and, from the end, down to the last.
  void ForEachRow(Table table, std::string_view prefix, Row take);
  bool TakeRunRow(std::string_view key, std::string_view value);
  std::set<EventId> EventIds(Table table, const std::string& prefix);

  const std::unique_ptr<IndexDb> index_;  // null: nothing could be read
  std::map<std::string, SalvagedRun> runs_;
  bool complete_ = true;
};

void RocksSalvage::ForEachRow(Table table, std::string_view prefix, Row take) {
  const auto count = [&](const Cursor& cursor) {
    if (!take(cursor.key(), cursor.value())) complete_ = false;
  };
  const ReadView view = index_->View();
  Cursor forward = view.Scan(table, prefix);
  std::string last;
  for (forward.SeekToFirst(); forward.Valid(); forward.Next()) {
    last = forward.key();
    count(forward);
  }
  if (forward.status().ok()) return;
  complete_ = false;
  Cursor backward = view.Scan(table, prefix);
  for (backward.SeekToLast(); backward.Valid() && backward.key() > last; backward.Prev()) {
    count(backward);
  }
}

// The rest of a key of `checkpoints` or `evictions`, and its message, into `*found`.
template <typename Message>
std::optional<std::pair<std::string, uint64_t>> ParseIdRow(std::string_view key,
                                                           std::string_view value,
                                                           Message* message) {
  const auto parts = SplitRunKey(key);
  if (!parts.has_value() || parts->rest.size() != kU64Bytes || !CheckRunId(parts->run).ok() ||
      !message->ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return std::nullopt;
  }
  return std::pair(std::string(parts->run), DecodeU64(parts->rest));
}

// Whether a message is that of its key.
bool IsNamed(const v1::Checkpoint& checkpoint, const std::pair<std::string, uint64_t>& key) {
  return checkpoint.name() == CheckpointName(key.first, std::to_string(key.second));
}

bool RocksSalvage::TakeRunRow(std::string_view key, std::string_view value) {
  const auto parts = SplitRunKey(key);
  if (!parts.has_value() || parts->rest.empty() || !CheckRunId(parts->run).ok()) return false;
  SalvagedRun& run = runs_[std::string(parts->run)];
  const auto size = static_cast<int>(value.size());
  switch (static_cast<RunRow>(parts->rest.front())) {
    case RunRow::kRun:
      if (!run.run.emplace().ParseFromArray(value.data(), size)) run.run.reset();
      return run.run.has_value();
    case RunRow::kProgress:
      if (!run.progress.emplace().ParseFromArray(value.data(), size)) run.progress.reset();
      return run.progress.has_value();
    case RunRow::kStats:
      return true;  // counted anew
    case RunRow::kMetricName:
      if (parts->rest.size() != 1 + kU32Bytes) return false;
      run.metrics.emplace_back().set_id(DecodeU32(parts->rest.substr(1)));
      run.metrics.back().set_name(std::string(value));
      return true;
  }
  return false;
}

void RocksSalvage::ReadAll() {
  if (index_ == nullptr) {
    complete_ = false;
    return;
  }
  ForEachRow(Table::kRuns, "",
             [&](std::string_view key, std::string_view value) { return TakeRunRow(key, value); });
  ForEachRow(Table::kCheckpoints, "", [&](std::string_view key, std::string_view value) {
    v1::Checkpoint row;
    const auto id = ParseIdRow(key, value, &row);
    if (!id.has_value() || !IsNamed(row, *id)) return false;
    runs_[id->first].checkpoints[id->second] = std::move(row);
    return true;
  });
  ForEachRow(Table::kEvictions, "", [&](std::string_view key, std::string_view value) {
    v1::Eviction row;
    const auto id = ParseIdRow(key, value, &row);
    if (!id.has_value() || !IsNamed(row.checkpoint(), *id)) return false;
    runs_[id->first].evictions[id->second] = std::move(*row.mutable_checkpoint());
    return true;
  });
}

// Rank and sequence number at the end of a key; nothing if there are none.
std::optional<EventId> ParseEventId(std::string_view rest) {
  if (rest.size() != kU32Bytes + kU64Bytes) return std::nullopt;
  return EventId{static_cast<int>(DecodeU32(rest.substr(0, kU32Bytes))),
                 DecodeU64(rest.substr(kU32Bytes))};
}

// Keys of `table` that begin with `prefix`, in order: damage may bring them out of it.
std::set<EventId> RocksSalvage::EventIds(Table table, const std::string& prefix) {
  std::set<EventId> ids;
  ForEachRow(table, prefix, [&](std::string_view key, std::string_view /*value*/) {
    const auto id = ParseEventId(key.substr(prefix.size()));
    if (id.has_value()) ids.insert(*id);
    return id.has_value();
  });
  return ids;
}

void RocksSalvage::ForEachEvent(std::string_view run, absl::FunctionRef<void(EventRow)> each) {
  if (index_ == nullptr) return;
  const ReadView view = index_->View();
  const std::set<EventId> rows = EventIds(Table::kEvents, RunPrefix(run));
  std::string prefix = RunPrefix(run);
  prefix.push_back(static_cast<char>(HistoryRow::kEvents));
  auto row = rows.begin();
  const auto give_row = [&] {
    const auto& [rank, seq] = *row++;
    auto record = ReadRow<v1::EventRecord>(view, Table::kEvents,
                                           EventKey(run, static_cast<uint32_t>(rank), seq));
    const bool named = record.ok() && record->has_value() && (*record)->event().seq() == seq;
    if (named) each({rank, **std::move(record)});
    complete_ &= named;
    return named;
  };
  // Each event from its row if it has a good one, else from the columns.
  for (const auto& [rank, first_seq] : EventIds(Table::kHistory, prefix)) {
    EventBlocks blocks(view, run, static_cast<uint32_t>(rank));
    blocks.Seek(first_seq);
    const auto events = blocks.Valid() ? blocks.ReadAll() : blocks.status();
    complete_ &= events.ok();
    for (size_t i = 0; events.ok() && i < events->size(); ++i) {
      const EventId id = {rank, static_cast<uint64_t>(events->seqs[i])};
      while (row != rows.end() && *row < id) give_row();
      if (row != rows.end() && *row == id && give_row()) continue;
      each({rank, RecordOf(events->Event(i))});
    }
  }
  while (row != rows.end()) give_row();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Salvage>> Salvage::Open(const std::string& path,
                                                       const std::string& scratch) {
  rocksdb::Env& env = *rocksdb::Env::Default();
  if (absl::Status copied = MakeLinkedCopy(env, path, scratch); !copied.ok()) return copied;
  auto index = OpenUsable(scratch);
  if (!index.ok()) return index.status();
  if (*index == nullptr) {
    IndexDb::Repair(scratch).IgnoreError();  // then nothing is there to be read
    index = OpenUsable(scratch);
    if (!index.ok()) return index.status();
  }
  auto salvage = std::make_unique<RocksSalvage>(*std::move(index));
  salvage->ReadAll();
  return salvage;
}

}  // namespace ckpt::storage
