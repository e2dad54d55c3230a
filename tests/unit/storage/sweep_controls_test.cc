// What protects the promises, taken away one piece at a time: the sweep must notice. A sweep that
// finds nothing proves nothing before that.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "storage/base/names.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/power_cuts.h"
#include "tests/unit/storage/testing/sweep_rig.h"

namespace ckpt::storage {
namespace {

using testing::HasSubstr;

constexpr uint64_t kSeed = 20'240'229;

// Everything that the states left by cuts during a scenario break.
std::string AllViolations(const Scenario& scenario, const FaultyFileSystem::Plan& pretends) {
  std::string all;
  SweepRig rig(StartOf(scenario));
  EXPECT_OK(rig.Open());
  PowerCuts(kSeed).During(
      rig, [&] { EXPECT_OK(rig.Run(scenario)); },
      [&](const std::string& /*when*/, const DiskState& state) {
        if (all.empty()) all = Lines(Violations(state));
      },
      pretends);
  return all;
}

// A sync that only says that it was done.
struct Careless {
  const char* name;
  const char* scenario;
  std::string_view operation;    // "" for all syncs
  std::string_view path_begins;  // of the syncs that are not done
  std::string_view path_ends;
  const char* breaks;
};

void PrintTo(const Careless& careless, std::ostream* out) { *out << careless.name; }

class CarelessSyncTest : public testing::TestWithParam<Careless> {};

INSTANTIATE_TEST_SUITE_P(
    Syncs, CarelessSyncTest,
    testing::Values(
        Careless{"None", "FirstSave", "", "", "", "P"},
        Careless{"Part", "FirstSave", "sync", "staging/", "/weights", "P1"},
        Careless{"Session", "FirstSave", "sync", "staging/", ".session.tmp", "P1"},
        Careless{"Manifest", "FirstSave", "sync", "staging/", "manifest.json.tmp", "P1"},
        Careless{"FolderOfTheParts", "FirstSave", "syncdir", "staging/", "", "P1"},
        Careless{"FolderOfTheBlob", "FirstSave", "syncdir", "blobs/", "", "P1"},
        Careless{"NewShard", "FirstSave", "syncdir", "blobs", "blobs", "P1"},
        Careless{"LogOfTheIndex", "EventsOnly", "sync", "index/", ".log", "P6"},
        Careless{"CommitRow", "FirstSave", "sync", "index/", ".log", "P"},
        Careless{"FolderOfTheName", "NewFolders", "syncdir", "runs/", "", "P5"},
        Careless{"Copy", "Copy", "sync", "runs/", "", "P2"},
        Careless{"Reflink", "Reflink", "sync", "runs/", "", "P2"},
        Careless{"RemovedNameOfParts", "RemoveSeveralParts", "syncdir", "runs/", "", "P2"}),
    [](const auto& row) { return row.param.name; });

TEST_P(CarelessSyncTest, IsNoticed) {
  const Careless& careless = GetParam();
  const auto pretends = [&](int64_t, std::string_view operation, std::string_view path) {
    const bool is_sync = operation == "sync" || operation == "syncdir";
    const bool chosen = is_sync && (careless.operation.empty() || operation == careless.operation);
    return chosen && path.starts_with(careless.path_begins) && path.ends_with(careless.path_ends)
               ? kPretend
               : 0;
  };
  EXPECT_THAT(AllViolations(ScenarioNamed(careless.scenario), pretends),
              HasSubstr(careless.breaks));
}

// A server that takes the steps of a commit in another order.
const Scenario kCarelessOrders[] = {
    {"AnswersBeforeTheRow", ScenarioNamed("OverwriteByABetterOne").prepare,
     [](Trainer& trainer) {
       v1::Checkpoint published;
       ApplyResult result;
       absl::Status status = trainer.Decide(PlanOf(2, 0.4, {"best.h5"}));
       status.Update(trainer.Receive(2));
       status.Update(trainer.Publish(2, &published));
       trainer.Acknowledge(2);
       status.Update(trainer.Commit(published, &result));
       return status;
     }},
    {"CommitsBeforeItPublishes", ScenarioNamed("FirstSave").prepare,
     [](Trainer& trainer) {
       v1::Checkpoint published;
       ApplyResult result;
       absl::Status status = trainer.Decide(PlanOf(2, 0.4, {"best.h5"}));
       status.Update(trainer.Receive(2));
       status.Update(trainer.Commit(trainer.Unpublished(2), &result));
       status.Update(trainer.Publish(2, &published));
       return status;
     }},
    {"RemovesBeforeTheSuccessorIsDurable", ScenarioNamed("OverwriteByABetterOne").prepare,
     [](Trainer& trainer) {
       absl::Status status = trainer.RemoveFiles(1);
       status.Update(trainer.Save(PlanOf(2, 0.4, {"best.h5"})));
       return status;
     }},
};

class CarelessOrderTest : public testing::TestWithParam<Scenario> {};

INSTANTIATE_TEST_SUITE_P(Orders, CarelessOrderTest, testing::ValuesIn(kCarelessOrders),
                         [](const auto& row) { return row.param.name; });

TEST_P(CarelessOrderTest, IsNoticed) {
  EXPECT_THAT(AllViolations(GetParam(), nullptr), HasSubstr("P1"));
}

}  // namespace
}  // namespace ckpt::storage
