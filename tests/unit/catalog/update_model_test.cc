// Random updates against a model of the rules.
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "catalog_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/catalog/update_batch.h"

namespace ckpt::storage {
namespace {

struct Model {
  struct Run {
    std::map<uint64_t, v1::Checkpoint> checkpoints;
    std::map<std::string, uint64_t> owners;
    std::set<uint64_t> saves;
  };
  std::map<std::string, Run> runs;
  std::multiset<std::string> evicted;  // in this batch

  void Remove(const std::string& run, uint64_t id) {
    Run& r = runs[run];
    if (r.checkpoints.erase(id) == 0) return;
    std::erase_if(r.owners, [&](const auto& name) { return name.second == id; });
    evicted.insert(CheckpointName(run, std::to_string(id)));
  }

  void CommitOne(const std::string& run, const v1::Checkpoint& checkpoint) {
    Run& r = runs[run];
    const uint64_t id = std::stoull(IdOf(checkpoint));
    r.saves.erase(id);
    if (r.checkpoints.contains(id)) return;
    r.checkpoints[id] = checkpoint;
    for (const v1::Placement& placement : checkpoint.placements()) {
      uint64_t& owner = r.owners[placement.filepath()];
      owner = std::max(owner, id);
    }
    // Placements are those names that the checkpoint owns; some had names and have none now.
    std::vector<uint64_t> nameless;
    for (auto& [other, row] : r.checkpoints) {
      const bool had = row.placements_size() > 0;
      v1::Checkpoint kept = row;
      kept.clear_placements();
      for (const v1::Placement& placement : row.placements()) {
        if (r.owners[placement.filepath()] == other) *kept.add_placements() = placement;
      }
      row = kept;
      if (had && row.placements_size() == 0) nameless.push_back(other);
    }
    for (const uint64_t other : nameless) Remove(run, other);
  }

  void Apply(const RunUpdate& update) {
    Run& run = runs[update.run];
    for (const auto& save : update.opened_saves) run.saves.insert(std::stoull(IdOf(save)));
    for (const auto& id : update.closed_saves) run.saves.erase(std::stoull(id));
    for (const auto& checkpoint : update.committed) CommitOne(update.run, checkpoint);
    for (const auto& id : update.deleted) Remove(update.run, std::stoull(id));
  }

  std::string Best(const std::string& run, const std::string& metric, bool maximize,
                   const std::string& policy) {
    const v1::Checkpoint* best = nullptr;
    for (const auto& [id, checkpoint] : runs[run].checkpoints) {
      const auto value = checkpoint.metrics().find(metric);
      if (value == checkpoint.metrics().end() || std::isnan(value->second)) continue;
      bool chosen = policy.empty();
      for (const auto& placement : checkpoint.placements()) chosen |= placement.policy() == policy;
      if (!chosen) continue;
      const double sign = maximize ? -1 : 1;
      if (best == nullptr || sign * value->second < sign * best->metrics().at(metric)) {
        best = &checkpoint;
      }
    }
    return best == nullptr ? "none" : IdOf(*best);
  }
};

const char* const kPaths[] = {"best.ckpt", "last.ckpt", "x/1.ckpt", "x/2.ckpt"};
const char* const kPolicies[] = {"p", "q", "s"};
const char* const kRuns[] = {"a", "a-1"};

class RandomUpdates {
 public:
  explicit RandomUpdates(unsigned seed) : random_(seed) {}

  bool Once(unsigned in) { return random_() % in == 0; }

  RunUpdate Make() {
    RunUpdate update = MakeRun(kRuns[random_() % 2]);
    for (int n = random_() % 3; n > 0; --n) update.opened_saves.push_back(Checkpoint(update.run));
    if (Once(4)) update.closed_saves.push_back(AnyId());
    for (int n = random_() % 3; n > 0; --n) update.committed.push_back(Checkpoint(update.run));
    if (Once(4)) update.deleted.push_back(AnyId());
    return update;
  }

 private:
  // Ids come out of order and again.
  std::string AnyId() { return std::to_string(1 + random_() % (10 + ++made_ / 4)); }

  v1::Checkpoint Checkpoint(const std::string& run) {
    const double kValues[] = {-INFINITY, -1, -0.0, 0, 1, 2, INFINITY, NAN};
    v1::Checkpoint checkpoint = MakeCheckpoint(run, std::stoull(AnyId()));
    for (const char* metric : {"m", "n"}) {
      if (!Once(3)) (*checkpoint.mutable_metrics())[metric] = kValues[random_() % 8];
    }
    for (const char* policy : kPolicies) {
      if (Once(3)) continue;
      v1::Placement& placement = *checkpoint.add_placements();
      placement.set_policy(policy);
      placement.set_filepath(kPaths[random_() % std::size(kPaths)]);
    }
    return checkpoint;
  }

  std::mt19937 random_;
  unsigned made_ = 0;
};

void ExpectSame(const Catalog& catalog, const std::string& run, Model& model) {
  const Model::Run& expected = model.runs[run];
  std::map<uint64_t, std::vector<std::string>> placements;
  int64_t bytes = 0;
  for (const auto& [id, checkpoint] : expected.checkpoints) {
    placements[id] = PathsOf(checkpoint);
    bytes += checkpoint.size();
  }
  std::map<uint64_t, std::vector<std::string>> stored;
  for (const auto& checkpoint :
       Must(catalog.ListCheckpoints({.run = run, .page_size = 1000})).checkpoints) {
    stored[std::stoull(IdOf(checkpoint))] = PathsOf(checkpoint);
  }
  ASSERT_EQ(stored, placements);
  for (const char* path : kPaths) {
    const auto owner = expected.owners.find(path);
    ASSERT_EQ(Must(catalog.NameOwner(run, path)).value_or("none"),
              owner == expected.owners.end() ? "none" : std::to_string(owner->second));
  }
  const v1::Run resource = Must(catalog.GetRun(run));
  ASSERT_EQ(resource.checkpoint_count(), std::ssize(expected.checkpoints));
  ASSERT_EQ(resource.checkpoint_bytes(), bytes);
  std::set<uint64_t> saves;
  for (const auto& save : Must(catalog.LoadRun(run)).open_saves) {
    saves.insert(std::stoull(IdOf(save)));
  }
  ASSERT_EQ(saves, expected.saves);
  for (const char* metric : {"m", "n"}) {
    for (const bool maximize : {false, true}) {
      for (const char* policy : {"", "p", "q", "s"}) {
        const auto best = catalog.GetBest(run, metric, maximize, policy);
        ASSERT_EQ(best.ok() ? IdOf(*best) : "none", model.Best(run, metric, maximize, policy));
      }
    }
  }
}

void ExpectSameTotals(const Catalog::Totals& totals, const Model& model) {
  Catalog::Totals expected;
  for (const auto& [name, run] : model.runs) {
    ++expected.runs;
    expected.checkpoints += std::ssize(run.checkpoints);
    for (const auto& [id, checkpoint] : run.checkpoints) {
      expected.checkpoint_bytes += checkpoint.size();
    }
    expected.open_saves += std::ssize(run.saves);
  }
  ASSERT_EQ(totals.runs, expected.runs);
  ASSERT_EQ(totals.checkpoints, expected.checkpoints);
  ASSERT_EQ(totals.checkpoint_bytes, expected.checkpoint_bytes);
  ASSERT_EQ(totals.open_saves, expected.open_saves);
}

std::multiset<std::string> NamesOf(const ApplyResult& result) {
  std::multiset<std::string> names;
  for (const auto& eviction : result.evictions) names.insert(eviction.checkpoint().name());
  return names;
}

class UpdateModelTest : public ::testing::TestWithParam<unsigned> {};

TEST_P(UpdateModelTest, AgreesWithTheModel) {
  const TempDir dir;
  std::unique_ptr<Catalog> catalog = Must(Catalog::Open(dir.options()));
  Model model;
  RandomUpdates random(GetParam());
  for (int step = 0; step < 120; ++step) {
    SCOPED_TRACE(step);
    model.evicted.clear();
    ApplyResult result;
    const std::string victim = kRuns[step % 2];
    if (random.Once(25) && model.runs.contains(victim)) {
      result = Must(catalog->DeleteRun(victim));
      for (const auto& [id, checkpoint] : std::map(model.runs[victim].checkpoints)) {
        model.Remove(victim, id);
      }
      model.runs.erase(victim);
    } else {
      std::vector<RunUpdate> updates = {random.Make(), random.Make(), random.Make()};
      result = Must(catalog->Apply(updates));
      for (const RunUpdate& update : updates) model.Apply(update);
    }
    ASSERT_EQ(NamesOf(result), model.evicted);
    if (random.Once(30)) {
      catalog.reset();
      catalog = Must(Catalog::Open(dir.options()));
    }
    for (const auto& [run, rows] : std::map(model.runs)) ExpectSame(*catalog, run, model);
    ExpectSameTotals(catalog->GetTotals(), model);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, UpdateModelTest, ::testing::Range(1u, 9u));

}  // namespace
}  // namespace ckpt::storage
