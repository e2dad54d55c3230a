// One save with a fault at each call to the file system in turn, and what is left of it after a
// restart.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>

#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/store_fixture.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;
using testing::AnyOf;
using testing::ElementsAre;
using testing::IsEmpty;

struct Sweep {
  const char* name;
  bool for_good;  // the disk stays broken
  int error;
  v1::StorageOptions::Projection projection;
};

class FaultSweepTest : public StoreFixture, public testing::WithParamInterface<Sweep> {
 protected:
  void SetUp() override { Open(); }

  // Whatever happened: what was there before is there still, or the new one in its place; what is
  // listed can be read; nothing else is left lying about.
  void CheckInvariants() {
    const std::string seen = Seen("r", "best.h5");
    const auto ids = Ids("r");
    EXPECT_THAT(ids, AnyOf(ElementsAre("1"), ElementsAre("2")));
    EXPECT_EQ(seen, ids[0] == "1" ? "one" : "two");
    EXPECT_EQ(Read("r", ids[0]), seen);
    EXPECT_THAT(FilesBelow(data_ + "/runs"), ElementsAre("r/best.h5"));
    const auto snapshot = store_->LoadRun("r");
    ASSERT_OK(snapshot);
    const bool is_open = !snapshot->open_saves.empty();
    EXPECT_EQ(SaveFolders("blobs").size(), 1 + snapshot->published.size());
    EXPECT_LE(SaveFolders("staging").size(), is_open && snapshot->published.empty() ? 1u : 0u);
  }
};

INSTANTIATE_TEST_SUITE_P(
    Faults, FaultSweepTest,
    testing::Values(Sweep{"FullOnce", false, ENOSPC, v1::StorageOptions::PROJECTION_LINK},
                    Sweep{"BrokenForGood", true, EIO, v1::StorageOptions::PROJECTION_LINK},
                    Sweep{"BrokenForGoodWhileCopying", true, EIO,
                          v1::StorageOptions::PROJECTION_COPY}),
    [](const auto& sweep) { return sweep.param.name; });

TEST_P(FaultSweepTest, LosesNothing) {
  const Sweep& sweep = GetParam();
  for (int64_t k = 1;; ++k) {
    SCOPED_TRACE(k);
    ASSERT_NO_FATAL_FAILURE(StartAnew());
    ASSERT_OK(Commit(MakeSave("r", 1, {"best.h5"}, sweep.projection), "one"));
    file_system_.Reset();
    file_system_.set_plan(sweep.for_good ? FailFrom(k, sweep.error) : FailOnce(k, sweep.error));
    const v1::Checkpoint save = MakeSave("r", 2, {"best.h5"}, sweep.projection);
    const absl::Status status = Commit(save, "two");
    const bool reached = static_cast<int64_t>(file_system_.calls().size()) >= k;
    EXPECT_THAT(Seen("r", "best.h5"), AnyOf("one", "two"));

    ASSERT_NO_FATAL_FAILURE(Reopen());
    CheckInvariants();
    if (Ids("r")[0] == "1") {
      EXPECT_FALSE(status.ok());
      ASSERT_OK(Commit(save, "two"));  // the sender tries again
      CheckInvariants();
      EXPECT_EQ(Seen("r", "best.h5"), "two");
    }
    if (HasFailure()) return;
    if (!reached) {
      EXPECT_GT(k, 40);
      break;
    }
  }
}

class RecoverySweepTest : public StoreFixture {
 protected:
  void SetUp() override { Open(); }
};

TEST_F(RecoverySweepTest, IsItselfRecoveredFrom) {
  // Something to do in every part of it.
  const auto build = [&] {
    StartAnew();
    ASSERT_OK(Commit(MakeSave("r", 1, {"best.h5"}), "one"));
    ASSERT_OK(Drive(MakeSave("r", 2, {"best.h5"}), "two", Step::kApplied));
    ASSERT_OK(Drive(MakeSave("r", 3, {"c"}), "three", Step::kPublished));
    ASSERT_OK(Drive(MakeSave("r", 4, {"d"}), "", Step::kDecided));
    ASSERT_OK(Upload({.run = "r", .save = "4", .stage_id = "", .part_count = 2}, "four"));
    WriteFile(data_ + "/staging/gone@1/weights", "x");
    WriteFile(data_ + "/runs/r/.ckptd-9", "x");
    store_.reset();
  };
  for (int64_t k = 1;; ++k) {
    ASSERT_NO_FATAL_FAILURE(build());
    file_system_.Reset();
    file_system_.set_plan(FailFrom(k, EIO));
    auto first = TryOpen();
    const auto calls = static_cast<int64_t>(file_system_.calls().size());
    first = absl::CancelledError("closed");
    ASSERT_NO_FATAL_FAILURE(Reopen()) << k;
    EXPECT_EQ(Seen("r", "best.h5"), "two") << k;
    EXPECT_THAT(SaveFolders("blobs"), ElementsAre("r@2", "r@3")) << k;
    EXPECT_THAT(SaveFolders("staging"), ElementsAre("r@4")) << k;
    EXPECT_THAT(FilesBelow(data_ + "/runs"), ElementsAre("r/best.h5")) << k;
    EXPECT_EQ(store_->recovery().completed_saves(), 1) << k;
    EXPECT_EQ(store_->recovery().open_saves(), 1) << k;
    if (calls < k) break;
  }
}

}  // namespace
}  // namespace ckpt::storage
