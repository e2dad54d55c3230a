// What the tests of the index share: folders that go away, and resources in one line.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "storage/catalog/catalog.h"
#include "storage/catalog/index_db.h"

namespace ckpt::storage {

// A folder of its own, removed in the end.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ckpt-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  CatalogOptions options() const { return {.path = path_ + "/index"}; }

 private:
  std::string path_;
};

// The value, or a failed test and the end of the process.
template <typename Value>
Value Must(absl::StatusOr<Value> value) {
  if (!value.ok()) {
    ADD_FAILURE() << value.status();
    std::abort();
  }
  return *std::move(value);
}

inline void Must(const absl::Status& status) { ASSERT_TRUE(status.ok()) << status; }

template <typename Value>
v1::ErrorReason ReasonOf(const absl::StatusOr<Value>& value) {
  return ckpt::ReasonOf(value.status());
}
using ckpt::ReasonOf;

using Metrics = std::map<std::string, double>;
using Placements = std::vector<std::pair<std::string, std::string>>;  // policy, file path

inline v1::Checkpoint MakeCheckpoint(std::string_view run, uint64_t id, const Metrics& metrics = {},
                                     const Placements& placements = {}) {
  v1::Checkpoint checkpoint;
  checkpoint.set_name(CheckpointName(run, std::to_string(id)));
  checkpoint.set_state(v1::Checkpoint::STATE_COMMITTED);
  checkpoint.set_size(static_cast<int64_t>(100 + id));
  for (const auto& [name, value] : metrics) (*checkpoint.mutable_metrics())[name] = value;
  for (const auto& [policy, filepath] : placements) {
    v1::Placement& placement = *checkpoint.add_placements();
    placement.set_policy(policy);
    placement.set_filepath(filepath);
  }
  return checkpoint;
}

inline RecordedEvents Recorded(const std::vector<EventRow>& rows) {
  RecordedEvents events;
  for (const EventRow& row : rows) events.Add(row);
  return events;
}

inline RunUpdate MakeRun(std::string_view run) {
  RunUpdate update;
  update.run = run;
  update.run_row.emplace().set_name(RunName(run));
  return update;
}

inline RunUpdate Commit(std::string_view run, std::vector<v1::Checkpoint> checkpoints) {
  RunUpdate update;
  update.run = run;
  update.committed = std::move(checkpoints);
  return update;
}

inline std::string IdOf(const v1::Checkpoint& checkpoint) {
  return checkpoint.name().substr(checkpoint.name().rfind('/') + 1);
}

inline std::vector<std::string> IdsOf(const std::vector<v1::Checkpoint>& checkpoints) {
  std::vector<std::string> ids;
  for (const v1::Checkpoint& checkpoint : checkpoints) ids.push_back(IdOf(checkpoint));
  return ids;
}

inline std::vector<std::string> IdsOf(const ApplyResult& result) {
  std::vector<std::string> ids;
  for (const v1::Eviction& eviction : result.evictions) ids.push_back(IdOf(eviction.checkpoint()));
  return ids;
}

// Policy and file path of each placement, as `policy:path`.
inline std::vector<std::string> PathsOf(const v1::Checkpoint& checkpoint) {
  std::vector<std::string> paths;
  for (const v1::Placement& placement : checkpoint.placements()) {
    paths.push_back(placement.policy() + ":" + placement.filepath());
  }
  return paths;
}

// Writes one row behind the catalog's back; the catalog is closed.
inline void WriteRow(const TempDir& dir, Table table, std::string_view key,
                     std::string_view value) {
  const std::unique_ptr<IndexDb> index = Must(IndexDb::Open(dir.options()));
  Batch batch = index->NewBatch();
  batch.Put(table, key, value);
  Must(index->Write(std::move(batch)));
}

// What no message can be parsed from.
inline constexpr std::string_view kDamaged = "\xff\xff\xff\xff\xff\xff";

}  // namespace ckpt::storage
