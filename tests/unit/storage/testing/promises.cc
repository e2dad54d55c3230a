#include "tests/unit/storage/testing/promises.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "storage/blob/layout.h"
#include "tests/unit/storage/testing/saves.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;

using Files = std::map<std::string, std::string>;  // content by path below runs/<run>

// The files that users see of a save under one of its names.
Files FilesOf(const ExpectedSave& save, const std::string& filepath) {
  Files files;
  for (const auto& [part, bytes] : save.parts) {
    files[save.parts.size() == 1 ? filepath : filepath + '/' + part] = bytes;
  }
  return files;
}

bool HasName(const ExpectedSave& save, const std::string& filepath) {
  return std::ranges::any_of(save.save.placements(), [&](const v1::Placement& placement) {
    return placement.filepath() == filepath;
  });
}

// The files of `seen` that are at `filepath` or below it.
Files Below(const Files& seen, const std::string& filepath) {
  Files below;
  for (const auto& [path, content] : seen) {
    if (path == filepath || path.starts_with(filepath + '/')) below[path] = content;
  }
  return below;
}

std::set<std::string> NamesOf(const ExpectedRun& run) {
  std::set<std::string> names;
  for (const auto& [id, save] : run.saves) {
    for (const v1::Placement& placement : save.save.placements()) {
      names.insert(placement.filepath());
    }
  }
  return names;
}

// Of rank 0, from page to page.
absl::StatusOr<std::vector<v1::EventRecord>> AllEvents(const CheckpointStore& store,
                                                       const std::string& run) {
  std::vector<v1::EventRecord> events;
  std::string token;
  do {
    auto page = store.ListEvents(run, 0, 1000, token);
    if (!page.ok()) return page.status();
    std::ranges::move(page->events, std::back_inserter(events));
    token = page->next_page_token;
  } while (!token.empty());
  return events;
}

// Checks one run of a store.
class RunCheck {
 public:
  RunCheck(CheckpointStore& store, const std::string& run, const ExpectedRun& expected)
      : store_(store), run_(run), expected_(expected) {}

  std::vector<std::string> Broken() {
    const auto snapshot = store_.LoadRun(run_);
    if (ReasonOf(snapshot.status()) == v1::ERROR_REASON_RUN_NOT_FOUND) {
      if (expected_.created == Word::kGiven && expected_.deleted == Word::kNone) {
        Break("P1", "the run is gone");
      }
      CheckFiles();
      return std::move(broken_);
    }
    if (!snapshot.ok()) return {fmt::format("P8 {}: {}", run_, snapshot.status().ToString())};
    if (expected_.deleted == Word::kGiven) Break("P1", "the deleted run is back");
    CheckList();
    for (const auto& [id, row] : present_) CheckCheckpoint(id, row);
    CheckNothingLost();
    CheckAliases();
    CheckFiles();
    CheckEvents(*snapshot);
    CheckOpenSaves(*snapshot);
    return std::move(broken_);
  }

 private:
  void Break(std::string_view promise, const std::string& what) {
    broken_.push_back(fmt::format("{} {}: {}", promise, run_, what));
  }

  void CheckList() {
    const auto page = store_.ListCheckpoints({.run = run_, .page_size = 1000});
    if (!page.ok()) return Break("P8", page.status().ToString());
    for (const v1::Checkpoint& row : page->checkpoints) {
      const uint64_t id = std::stoull(ParseCheckpointName(row.name())->id);
      const auto save = expected_.saves.find(id);
      if (save == expected_.saves.end() || save->second.committed == Word::kNone) {
        Break("P2", fmt::format("checkpoint {} is listed and was never committed", id));
      } else if (save->second.deleted == Word::kGiven) {
        Break("P5", fmt::format("checkpoint {} is back", id));
      } else {
        present_[id] = row;
      }
    }
  }

  void CheckCheckpoint(uint64_t id, const v1::Checkpoint& row) {
    const ExpectedSave& save = expected_.saves.at(id);
    if (row.parts_size() != static_cast<int>(save.parts.size())) {
      Break("P1", fmt::format("checkpoint {} has {} parts", id, row.parts_size()));
    }
    int64_t size = 0;
    for (const auto& [part, bytes] : save.parts) {
      size += static_cast<int64_t>(bytes.size());
      auto reader = store_.OpenRead(run_, std::to_string(id), 0, part);
      const auto read = reader.ok() ? ReadAll(**reader) : reader.status();
      if (!read.ok()) {
        Break("P1", fmt::format("checkpoint {}: {}", id, read.status().ToString()));
      } else if (*read != bytes || (*reader)->part().xxh3_128() != DigestOf(bytes)) {
        Break("P7", fmt::format("checkpoint {} was served with other bytes", id));
      }
    }
    if (row.size() != size) Break("P1", fmt::format("checkpoint {} has another size", id));
    for (const v1::Placement& placement : row.placements()) {
      if (!HasName(save, placement.filepath())) Break("P2", "a name that nobody chose");
      if (!placement.projection_error().empty()) Break("P8", placement.projection_error());
      owners_[placement.filepath()] = std::max(owners_[placement.filepath()], id);
    }
  }

  // Whether a newer checkpoint has taken the name: one that is there, or was deleted since.
  bool IsSuperseded(uint64_t id, const std::string& filepath) const {
    return std::ranges::any_of(expected_.saves, [&](const auto& other) {
      const bool took = present_.contains(other.first) || other.second.deleted != Word::kNone;
      return other.first > id && other.second.committed != Word::kNone && took &&
             HasName(other.second, filepath);
    });
  }

  void CheckNothingLost() {
    for (const auto& [id, save] : expected_.saves) {
      if (save.committed != Word::kGiven || save.deleted != Word::kNone) continue;
      for (const v1::Placement& placement : save.save.placements()) {
        const auto owner = owners_.find(placement.filepath());
        const bool owns = owner != owners_.end() && owner->second >= id;
        if (!owns && !IsSuperseded(id, placement.filepath())) {
          Break("P1", fmt::format("checkpoint {} is lost", id));
        }
      }
    }
  }

  void CheckAliases() {
    if (present_.empty()) return;
    const auto latest = store_.GetLatest(run_);
    if (!latest.ok() || latest->name() != present_.rbegin()->second.name()) {
      Break("P3", "latest is not the newest");
    }
    const auto value = [](const v1::Checkpoint& row) { return row.metrics().at("val_loss"); };
    const auto expected = std::ranges::min_element(
        present_, [&](const auto& a, const auto& b) { return value(a.second) < value(b.second); });
    const auto best = store_.GetBest(run_, "val_loss", /*maximize=*/false, "");
    if (!best.ok() || best->name() != expected->second.name()) {
      Break("P3", "best is not the best one");
    }
  }

  // Each name leads to its owner, and nothing else is there.
  void CheckFiles() {
    const std::string folder = store_.data_dir() + '/' + RunPath(run_);
    Files seen;
    if (fs::exists(folder)) {
      for (const std::string& path : FilesBelow(folder)) seen[path] = ReadFile(folder + '/' + path);
    }
    Files expected;
    for (const auto& [filepath, owner] : owners_) {
      expected.merge(FilesOf(expected_.saves.at(owner), filepath));
    }
    for (const auto& [path, content] : expected) {
      const auto found = seen.find(path);
      if (found == seen.end()) {
        Break("P2", fmt::format("'{}' is missing", path));
      } else if (found->second != content) {
        Break("P2", fmt::format("'{}' is not what its checkpoint holds", path));
      }
      seen.erase(path);
    }
    for (const auto& [path, content] : seen) Break("P2", fmt::format("'{}' is left over", path));
  }

  void CheckEvents(const RunSnapshot& snapshot) {
    const auto events = AllEvents(store_, run_);
    if (!events.ok()) return Break("P8", events.status().ToString());
    CheckSeries(*events);
    uint64_t newest = 0;
    std::set<uint64_t> seen;
    for (const v1::EventRecord& record : *events) {
      const uint64_t seq = record.event().seq();
      const auto known = expected_.events.find(seq);
      if (known == expected_.events.end() ||
          known->second.second.SerializeAsString() != record.SerializeAsString()) {
        Break("P4", fmt::format("event {} is not the one that was recorded", seq));
      }
      if (!seen.insert(seq).second) Break("P4", fmt::format("event {} is there twice", seq));
      newest = std::max(newest, seq);
    }
    for (const auto& [seq, event] : expected_.events) {
      if (event.first == Word::kGiven && !seen.contains(seq)) {
        Break("P6", fmt::format("event {} is lost", seq));
      }
    }
    const v1::RunProgress& progress = snapshot.progress;
    const uint64_t durable = progress.durable_seqs_size() == 0 ? 0 : progress.durable_seqs(0);
    if (durable != newest) {
      Break("P4", fmt::format("the run stands at event {}, the newest is {}", durable, newest));
    }
    if (!present_.empty() && progress.last_checkpoint_id() < present_.rbegin()->first) {
      Break("P4", "the id of a checkpoint would be given again");
    }
  }

  // Every event has a point of the one metric.
  void CheckSeries(const std::vector<v1::EventRecord>& events) {
    const auto series = store_.GetSeries({.run = run_,
                                          .metric = "val_loss",
                                          .points = events.size() + 1,
                                          .method = SeriesQuery::Method::kNewest});
    if (!series.ok()) return Break("P8", series.status().ToString());
    const bool same = std::ranges::equal(
        series->points, events, [](const Point& point, const v1::EventRecord& record) {
          return point.seq == record.event().seq() && point.value == record.event().values(0);
        });
    if (!same) Break("P6", "the series of the metric is not what its events say");
  }

  void CheckOpenSaves(const RunSnapshot& snapshot) {
    std::set<uint64_t> open;
    for (const v1::Checkpoint& save : snapshot.open_saves) {
      open.insert(std::stoull(ParseCheckpointName(save.name())->id));
    }
    for (const auto& [id, save] : expected_.saves) {
      const bool settled = save.committed != Word::kNone || save.withdrawn != Word::kNone;
      if (save.decided == Word::kGiven && !settled && !open.contains(id)) {
        Break("P4", fmt::format("the decision to save {} is lost", id));
      }
      if (save.decided == Word::kNone && open.contains(id)) {
        Break("P4", fmt::format("nobody decided to save {}", id));
      }
      if (present_.contains(id) && open.contains(id)) {
        Break("P4", fmt::format("{} is committed and open", id));
      }
      const bool is_published =
          std::ranges::any_of(snapshot.published, [&save = save](const v1::Checkpoint& published) {
            return published.name() == save.save.name();
          });
      if (save.received == Word::kGiven && open.contains(id) && !is_published) CheckReceived(id);
    }
  }

  void CheckReceived(uint64_t id) {
    const auto parts = store_.CompleteParts(run_, std::to_string(id), "", /*world_size=*/1);
    if (!parts.ok()) return Break("P8", parts.status().ToString());
    if (!parts->has_value()) Break("P1", fmt::format("received bytes of save {} are lost", id));
  }

  CheckpointStore& store_;
  const std::string& run_;
  const ExpectedRun& expected_;
  std::map<uint64_t, v1::Checkpoint> present_;
  std::map<std::string, uint64_t> owners_;  // id by file path
  std::vector<std::string> broken_;
};

// Folders of saves that nothing accounts for.
void CheckGarbage(const CheckpointStore& store, const Expectation& expected,
                  std::vector<std::string>* broken) {
  std::set<std::string> blobs;
  std::set<std::string> staging;
  for (const auto& [run, expected_run] : expected) {
    const auto snapshot = store.LoadRun(run);
    if (!snapshot.ok()) continue;
    for (const v1::Checkpoint& save : snapshot->open_saves) {
      staging.insert(SaveFolderName(run, ParseCheckpointName(save.name())->id, ""));
    }
    for (const v1::Checkpoint& save : snapshot->published) {
      blobs.insert(SaveFolderName(run, ParseCheckpointName(save.name())->id, ""));
    }
    for (const auto& [stage, parts] : expected_run.stages) {
      staging.insert(SaveFolderName(run, "", stage));
    }
    const auto page = store.ListCheckpoints({.run = run, .page_size = 1000});
    if (!page.ok()) continue;
    for (const v1::Checkpoint& row : page->checkpoints) {
      blobs.insert(SaveFolderName(run, ParseCheckpointName(row.name())->id, ""));
    }
  }
  for (const char* below : {kBlobsFolder, kStagingFolder}) {
    const std::set<std::string>& known = below == std::string_view(kBlobsFolder) ? blobs : staging;
    for (const auto& entry : fs::recursive_directory_iterator(store.data_dir() + '/' + below)) {
      const std::string name = entry.path().filename();
      const bool is_save = entry.is_directory() && name.find('@') != std::string::npos;
      if (is_save && !known.contains(name)) {
        broken->push_back(fmt::format("P8 {}/{} is garbage", below, name));
      }
    }
  }
}

}  // namespace

std::vector<std::string> BrokenNames(const DiskImage& disk, const Expectation& expected) {
  std::vector<std::string> broken;
  for (const auto& [run, expected_run] : expected) {
    Files seen;
    const std::string prefix = RunPath(run) + '/';
    for (const auto& [path, entry] : disk.entries) {
      const bool hidden = path.find(fmt::format("/{}", kTemporaryPrefix)) != std::string::npos;
      if (entry.is_folder || hidden || !path.starts_with(prefix)) continue;
      seen[path.substr(prefix.size())] = *entry.content;
    }
    for (const std::string& filepath : NamesOf(expected_run)) {
      const Files there = Below(seen, filepath);
      bool known = there.empty();
      bool due = false;
      for (const auto& [id, save] : expected_run.saves) {
        if (!HasName(save, filepath)) continue;
        known = known || (save.committed != Word::kNone && there == FilesOf(save, filepath));
        due = due || save.named == Word::kGiven;
        const bool going = save.deleted != Word::kNone || expected_run.deleted != Word::kNone;
        due = due && !going;
      }
      if (!known) broken.push_back(fmt::format("P2 {}: '{}' is not whole", run, filepath));
      if (due && there.empty()) {
        broken.push_back(fmt::format("P5 {}: '{}' is missing", run, filepath));
      }
    }
  }
  return broken;
}

std::vector<std::string> BrokenPromises(CheckpointStore& store, const Expectation& expected) {
  std::vector<std::string> broken;
  for (const auto& [run, expected_run] : expected) {
    if (expected_run.created == Word::kNone) continue;
    for (std::string& each : RunCheck(store, run, expected_run).Broken()) {
      broken.push_back(std::move(each));
    }
  }
  CheckGarbage(store, expected, &broken);
  return broken;
}

void Learn(const CheckpointStore& store, Expectation* expected) {
  for (auto& [run, expected_run] : *expected) {
    if (!store.GetRun(run).ok()) continue;
    expected_run.created = Word::kGiven;
    const auto page = store.ListCheckpoints({.run = run, .page_size = 1000});
    if (!page.ok()) continue;
    for (const v1::Checkpoint& row : page->checkpoints) {
      const auto save = expected_run.saves.find(std::stoull(ParseCheckpointName(row.name())->id));
      if (save != expected_run.saves.end()) save->second.committed = Word::kGiven;
    }
    const auto events = AllEvents(store, run);
    if (!events.ok()) continue;
    for (const v1::EventRecord& record : *events) {
      const auto event = expected_run.events.find(record.event().seq());
      if (event != expected_run.events.end()) event->second.first = Word::kGiven;
    }
  }
}

void Settle(const CheckpointStore& store, Expectation* expected) {
  Learn(store, expected);
  for (auto& [run, expected_run] : *expected) {
    const bool is_there = store.GetRun(run).ok();
    if (!is_there) expected_run = ExpectedRun();
    expected_run.deleted = Word::kNone;
    for (auto& [id, save] : expected_run.saves) {
      if (save.deleted != Word::kAsked) continue;
      const bool deleted = !store.GetCheckpoint(run, std::to_string(id)).ok();
      save.deleted = deleted ? Word::kGiven : Word::kNone;
    }
  }
}

}  // namespace ckpt::storage
