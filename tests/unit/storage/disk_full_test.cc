// The disk is full from some call on, until there is room again. The store is not opened again.

#include <gtest/gtest.h>

#include <cerrno>
#include <random>
#include <string>

#include "storage/base/errors.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/promises.h"
#include "tests/unit/storage/testing/sweep_rig.h"

namespace ckpt::storage {
namespace {

// A full disk still reads, removes and syncs.
bool NeedsRoom(std::string_view operation) {
  return operation == "write" || operation == "create" || operation == "mkdir" ||
         operation == "link" || operation == "rename" || operation == "reserve";
}

// Full while the store is at work on paths that begin so.
class DiskFullTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Places, DiskFullTest,
                         testing::Values("staging/", "blobs/", "runs/", "index/"),
                         [](const auto& row) {
                           std::string name = row.param;
                           name.pop_back();
                           return name;
                         });

TEST_P(DiskFullTest, SavesGoOnWhenThereIsRoom) {
  const std::string_view place = GetParam();
  const Scenario& scenario = ScenarioNamed("NewFolders");
  SweepRig rig(StartOf(scenario));
  ASSERT_OK(rig.Open());
  bool full = false;
  rig.faults.set_plan([&](int64_t, std::string_view operation, std::string_view path) {
    full = full || (NeedsRoom(operation) && path.starts_with(place));
    return full && NeedsRoom(operation) ? ENOSPC : 0;
  });
  const absl::Status refused = rig.Run(scenario);
  EXPECT_THAT(refused, HasReason("DISK_FULL"));
  std::mt19937_64 unused;
  EXPECT_EQ(Lines(BrokenNames(rig.disk.After(Cut::kKeepAll, unused), rig.ledger.Read())), "");
  const auto best = rig.store().GetBest("r", "val_loss", /*maximize=*/false, "");
  EXPECT_OK(best) << "what exists is still served";

  Trainer trainer(rig.store(), rig.ledger);
  for (int i = 0; i < 3; ++i) EXPECT_THAT(trainer.Record(1), HasReason("DISK_FULL"));
  rig.faults.set_plan(nullptr);
  EXPECT_OK(trainer.Record(1));
  EXPECT_OK(trainer.FinishOpenSaves());
  EXPECT_OK(trainer.Save(PlanOf(50, 0.05, {"best.h5"})));
  EXPECT_EQ(Lines(Violations({rig.disk.After(Cut::kDropAll, unused), rig.ledger.Read()})), "");
}

// Ids and order, not times, say what is newest; recovery and what was promised do not depend on
// the clock.
TEST(WallClockTest, MayJumpADayEitherWay) {
  constexpr int64_t kDay = 86'400LL * 1'000'000'000;
  const Scenario& scenario = ScenarioNamed("FirstSave");
  SweepRig rig(StartOf(scenario));
  ASSERT_OK(rig.Open());
  uint64_t id = 0;
  for (const int64_t jump : {int64_t{0}, -kDay, 2 * kDay, -kDay}) {
    rig.clock.now += jump;
    ++id;
    const std::string name = "epoch-" + std::to_string(id);
    {
      Trainer trainer(rig.store(), rig.ledger);
      ASSERT_OK(trainer.Save(PlanOf(id, 1.0 / static_cast<double>(id), {"best.h5", name})));
      ASSERT_OK(trainer.Decide(PlanOf(++id, 0.9, {"open.h5"})));
      ASSERT_OK(trainer.Receive(id));
    }
    rig.clock.now -= jump;  // and back again while the daemon is down
    rig.Close();
    ASSERT_OK(rig.Open());
    EXPECT_EQ(Lines(BrokenPromises(rig.store(), rig.ledger.Read())), "") << jump;
    Trainer trainer(rig.store(), rig.ledger);
    ASSERT_OK(trainer.FinishOpenSaves());
    rig.clock.now += jump;
  }
  std::mt19937_64 unused;
  EXPECT_EQ(Lines(Violations({rig.disk.After(Cut::kDropAll, unused), rig.ledger.Read()})), "");
}

}  // namespace
}  // namespace ckpt::storage
