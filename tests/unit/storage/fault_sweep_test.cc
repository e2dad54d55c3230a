// Each call to the disk fails in turn, RocksDB's included. The store goes on serving what it has,
// and loses nothing: not when the power goes right after, and not when the daemon is started again
// and the power goes then. A sync that fails has dropped what it was to sync, so that one more
// sync of the same file would succeed without it.
//
// Every fault is tried at every call of the commit's own scenarios. Of the others' calls, each
// third fails once, and each ninth for good; the seed says which.

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <random>
#include <string>
#include <tuple>

#include "storage/base/errors.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/promises.h"
#include "tests/unit/storage/testing/sweep_rig.h"

namespace ckpt::storage {
namespace {

constexpr uint64_t kSeed = 20'240'229;

struct Fault {
  const char* name;
  FaultyFileSystem::Plan (*from)(int64_t call, int error);
  int error;
};

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

const Fault kFaults[] = {{"FailsOnce", FailOnce, EIO},
                         {"FailsForGood", FailFrom, EIO},
                         {"IsFullFromThen", FailFrom, ENOSPC}};

class FaultSweepTest : public testing::TestWithParam<std::tuple<Scenario, Fault>> {};

INSTANTIATE_TEST_SUITE_P(Scenarios, FaultSweepTest,
                         testing::Combine(testing::ValuesIn(Scenarios().begin(), Scenarios().end()),
                                          testing::ValuesIn(kFaults)),
                         [](const auto& row) {
                           return fmt::format("{}{}", std::get<0>(row.param).name,
                                              std::get<1>(row.param).name);
                         });

// Calls from one that is tried to the next.
int64_t StrideOf(const Scenario& scenario, const Fault& fault) {
  if (scenario.is_commit) return 1;
  return fault.from == FailOnce ? 3 : 9;
}

bool IsOfTheDisk(const absl::Status& status) {
  const v1::ErrorReason reason = ReasonOf(status);
  return reason == v1::ERROR_REASON_STORAGE_FAILED || reason == v1::ERROR_REASON_DISK_FULL;
}

// Whether what is listed can still be read by a store that has met with a fault.
void ExpectServing(CheckpointStore& store, const Expectation& expected) {
  for (const auto& [run, each] : expected) {
    const auto page = store.ListCheckpoints({.run = run, .page_size = 1000});
    if (!page.ok()) continue;
    for (const v1::Checkpoint& row : page->checkpoints) {
      const std::string id = row.name().substr(row.name().rfind('/') + 1);
      for (const v1::Part& part : row.parts()) {
        const auto reader = store.OpenRead(run, id, part.rank(), part.part());
        ASSERT_OK(reader) << id;
        EXPECT_EQ(*ReadAll(**reader), each.saves.at(std::stoull(id)).parts.at(part.part()));
      }
    }
  }
}

TEST_P(FaultSweepTest, LosesNothing) {
  const auto& [scenario, fault] = GetParam();
  const DiskState start = StartOf(scenario);
  std::mt19937_64 unused;
  std::mt19937_64 random(kSeed);
  const int64_t stride = StrideOf(scenario, fault);
  int64_t call = 1 + static_cast<int64_t>(random() % static_cast<uint64_t>(stride));
  int64_t tried = 0;
  for (bool reached = true; reached && !HasFailure(); call += stride, ++tried) {
    SweepRig rig(start);
    if (!scenario.opens) {
      ASSERT_OK(rig.Open());
    }
    rig.faults.Reset();
    rig.faults.set_plan(fault.from(call, fault.error));
    const absl::Status status = rig.Run(scenario);
    const std::vector<std::string> calls = rig.faults.calls();
    reached = static_cast<int64_t>(calls.size()) >= call;
    SCOPED_TRACE(fmt::format("call {}: {}", call, reached ? calls[call - 1] : "none"));
    EXPECT_TRUE(status.ok() || IsOfTheDisk(status)) << status;
    rig.faults.set_plan(nullptr);

    const DiskState cut{rig.disk.After(Cut::kDropAll, unused), rig.ledger.Read()};
    EXPECT_EQ(Lines(Violations(cut)), "") << "when the power goes";

    if (rig.is_open()) ExpectServing(rig.store(), rig.ledger.Read());
    rig.Close();
    ASSERT_OK(rig.Open());
    EXPECT_EQ(Lines(BrokenPromises(rig.store(), rig.ledger.Read())), "") << "after a restart";
    rig.ledger.Note([&](Expectation& expected) { Settle(rig.store(), &expected); });
    const DiskState late_cut{rig.disk.After(Cut::kDropAll, unused), rig.ledger.Read()};
    EXPECT_EQ(Lines(Violations(late_cut)), "") << "when the power goes after a restart";
  }
  fmt::print("{} of {} calls, seed {}\n", tried, call - stride, kSeed);
}

}  // namespace
}  // namespace ckpt::storage
