#include "tests/unit/storage/testing/scenarios.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string_view>
#include <utility>

#include "storage/history/event_columns.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

constexpr auto kLink = v1::StorageOptions::PROJECTION_LINK;
constexpr auto kReflink = v1::StorageOptions::PROJECTION_REFLINK;
constexpr auto kCopy = v1::StorageOptions::PROJECTION_COPY;
constexpr size_t kPartBytes = 2500;  // several writes, several blocks of the disk
constexpr int kUnsealedEvents = static_cast<int>(kSegmentEvents) - 5;

// Runs the steps up to the first that fails.
template <typename... Steps>
absl::Status InOrder(Steps... steps) {
  absl::Status status;
  ((status.ok() ? void(status = steps()) : void()), ...);
  return status;
}

SavePlan PartsPlan(uint64_t id, double value, std::string filepath,
                   v1::StorageOptions::Projection projection = kLink) {
  SavePlan plan = PlanOf(id, value, {std::move(filepath)}, projection);
  plan.parts = {{"weights", Bytes(kPartBytes, static_cast<int>(10 * id))},
                {"optimizer", Bytes(700, static_cast<int>(10 * id + 1))},
                {"rng", Bytes(5, static_cast<int>(10 * id + 2))}};
  return plan;
}

absl::Status OnlyRun(Trainer& trainer) { return trainer.CreateRun(); }

absl::Status OneSave(Trainer& trainer) {
  return InOrder([&] { return trainer.CreateRun(); },
                 [&] { return trainer.Save(PlanOf(1, 0.5, {"best.h5"})); });
}

// Left by a crash at each step of the commit: all that recovery has to do.
absl::Status Unfinished(Trainer& trainer) {
  v1::Checkpoint published;
  ApplyResult result;
  return InOrder([&] { return OneSave(trainer); },
                 [&] { return trainer.Save(PlanOf(2, 0.9, {"other.h5"})); },
                 [&] { return trainer.Decide(PlanOf(3, 0.4, {"best.h5"})); },
                 [&] { return trainer.Receive(3); }, [&] { return trainer.Publish(3, &published); },
                 [&] { return trainer.Commit(published, &result); },
                 [&] { return trainer.Decide(PlanOf(4, 0.3, {"copy.h5"}, kCopy)); },
                 [&] { return trainer.Receive(4); }, [&] { return trainer.Publish(4, &published); },
                 [&] { return trainer.Commit(published, &result); },
                 [&] { return trainer.Decide(PlanOf(5, 0.2, {"published.h5"})); },
                 [&] { return trainer.Receive(5); }, [&] { return trainer.Publish(5, &published); },
                 [&] { return trainer.Decide(PlanOf(6, 0.1, {"received.h5"})); },
                 [&] { return trainer.Receive(6); },
                 [&] {
                   return trainer.Stage("early", {{"weights", Bytes(kPartBytes, 7)}});
                 });
}

const Scenario kScenarios[] = {
    {"FirstSave", OnlyRun, [](Trainer& t) { return t.Save(PlanOf(1, 0.5, {"best.h5"})); },
     /*opens=*/false, /*is_commit=*/true},
    {"OverwriteByABetterOne", OneSave,
     [](Trainer& t) { return t.Save(PlanOf(2, 0.4, {"best.h5"})); },
     /*opens=*/false, /*is_commit=*/true},
    {"OneSaveForTwoPolicies",
     [](Trainer& t) {
       return InOrder([&] { return t.CreateRun(); },
                      [&] {
                        return t.Save(PlanOf(1, 0.5, {"best.h5", "last.h5"}));
                      });
     },
     [](Trainer& t) {
       return InOrder([&] { return t.Save(PlanOf(2, 0.6, {"last.h5"})); },
                      [&] {
                        return t.Save(PlanOf(3, 0.4, {"best.h5", "last.h5"}));
                      });
     }},
    {"StagedUploads", OneSave,
     [](Trainer& t) {
       const SavePlan plan = PlanOf(2, 0.4, {"best.h5"});
       return InOrder(
           [&] {
             return t.Stage("loser", {{"weights", Bytes(kPartBytes, 99)}});
           },
           [&] { return t.DropStage("loser"); }, [&] { return t.Stage("winner", plan.parts); },
           [&] { return t.Decide(plan); }, [&] { return t.Adopt("winner", 2); },
           [&] { return t.Finish(2); });
     }},
    {"Abort", OneSave,
     [](Trainer& t) {
       return InOrder([&] { return t.Decide(PlanOf(2, 0.4, {"best.h5"})); },
                      [&] { return t.Receive(2); }, [&] { return t.Abort(2); });
     }},
    {"RemoveACheckpoint",
     [](Trainer& t) {
       return InOrder([&] { return OneSave(t); },
                      [&] { return t.Save(PlanOf(2, 0.4, {"deep/down/2.h5"})); });
     },
     [](Trainer& t) { return t.Delete(2); }},
    {"RemoveARunAndBeginAnew", OneSave,
     [](Trainer& t) {
       return InOrder([&] { return t.DeleteRun(); }, [&] { return t.CreateRun(); },
                      [&] { return t.Save(PlanOf(1, 0.7, {"best.h5"})); });
     }},
    {"NewFolders", OneSave,
     [](Trainer& t) { return t.Save(PlanOf(2, 0.4, {"epoch/02/best.h5"})); }},
    {"Copy",
     [](Trainer& t) {
       return InOrder([&] { return t.CreateRun(); },
                      [&] { return t.Save(PlanOf(1, 0.5, {"best.h5"}, kCopy)); });
     },
     [](Trainer& t) {
       return InOrder([&] { return t.Save(PlanOf(2, 0.4, {"best.h5"}, kCopy)); },
                      [&] { return t.Delete(2); });
     }},
    {"Reflink",
     [](Trainer& t) {
       return InOrder([&] { return t.CreateRun(); },
                      [&] { return t.Save(PlanOf(1, 0.5, {"best.h5"}, kReflink)); });
     },
     [](Trainer& t) { return t.Save(PlanOf(2, 0.4, {"best.h5"}, kReflink)); }},
    {"SeveralParts",
     [](Trainer& t) {
       return InOrder([&] { return t.CreateRun(); },
                      [&] { return t.Save(PartsPlan(1, 0.5, "best")); });
     },
     [](Trainer& t) { return t.Save(PartsPlan(2, 0.4, "best")); }},
    {"RemoveSeveralParts",
     [](Trainer& t) {
       return InOrder([&] { return OneSave(t); }, [&] { return t.Save(PartsPlan(2, 0.4, "all")); },
                      [&] { return t.Save(PartsPlan(3, 0.3, "copied", kCopy)); });
     },
     [](Trainer& t) { return InOrder([&] { return t.Delete(2); }, [&] { return t.Delete(3); }); }},
    {"OnePartAfterSeveral",
     [](Trainer& t) {
       return InOrder([&] { return t.CreateRun(); },
                      [&] { return t.Save(PartsPlan(1, 0.5, "best")); });
     },
     [](Trainer& t) { return t.Save(PlanOf(2, 0.4, {"best"})); }},
    {"EventsOnly", OneSave,
     [](Trainer& t) {
       return InOrder([&] { return t.Record(1); }, [&] { return t.Record(3); },
                      [&] { return t.Record(2); });
     }},
    {"SealsEvents",
     [](Trainer& t) {
       return InOrder([&] { return OneSave(t); }, [&] { return t.Record(kUnsealedEvents - 1); });
     },
     [](Trainer& t) {
       return InOrder([&] { return t.Record(1); },
                      [&] { return t.Save(PlanOf(2, 0.4, {"best.h5"})); },
                      [&] { return t.Record(5); }, [&] { return t.Record(1); });
     }},
    {"OpenANewFolder", [](Trainer&) { return absl::OkStatus(); }, OnlyRun, /*opens=*/true},
    {"Recovery", Unfinished, [](Trainer& t) { return t.FinishOpenSaves(); }, /*opens=*/true},
};

}  // namespace

std::span<const Scenario> Scenarios() { return kScenarios; }

const Scenario& ScenarioNamed(std::string_view name) {
  for (const Scenario& scenario : kScenarios) {
    if (scenario.name == name) return scenario;
  }
  ADD_FAILURE() << "no scenario " << name;
  return kScenarios[0];
}

SavePlan PlanOf(uint64_t id, double value, std::vector<std::string> filepaths,
                v1::StorageOptions::Projection projection) {
  // The value goes into the bytes, so that two saves of one id differ.
  const int seed = static_cast<int>(1000 * id) + static_cast<int>(10 * value);
  return {.id = id,
          .value = value,
          .filepaths = std::move(filepaths),
          .parts = {{"weights", Bytes(kPartBytes, seed)}},
          .projection = projection};
}

}  // namespace ckpt::storage
