#include "storage/blob/staging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "storage/fs/posix_file_system.h"
#include "tests/unit/storage/testing/faulty_file_system.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/saves.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;

class StagingTest : public testing::Test {
 protected:
  StagingTest() { EXPECT_OK(root_->MakeDirectory("staging")); }

  void Upload(const PartTarget& target, const std::string& bytes) {
    const auto writer = staging_.OpenPart(target);
    ASSERT_OK(writer);
    ASSERT_OK(AppendAll(**writer, bytes));
    ASSERT_OK((*writer)->Finish(static_cast<int64_t>(bytes.size()), DigestOf(bytes)));
  }
  // Names of the complete parts, with their ranks; "incomplete" if they are not.
  std::vector<std::string> Complete(int world_size) {
    const auto parts = staging_.CompleteParts("r@1", world_size);
    EXPECT_OK(parts);
    if (!parts.ok() || !parts->has_value()) return {"incomplete"};
    std::vector<std::string> names;
    for (const v1::Part& part : **parts) {
      names.push_back(part.part() + '@' + std::to_string(part.rank()));
    }
    return names;
  }

  TempDir dir_;
  PosixFileSystem real_;
  FaultyFileSystem file_system_{real_};
  std::unique_ptr<Directory> root_ = *file_system_.OpenDirectory(dir_.path());
  Staging staging_{*root_};
  const PartTarget save_{.run = "r", .save = "1", .stage_id = ""};
  const PartTarget stage_{.run = "r", .save = "", .stage_id = "s"};
};

TEST_F(StagingTest, RefusesTargetsThatAreNone) {
  const struct {
    PartTarget target;
    const char* reason;
  } cases[] = {
      {{.run = "r", .save = "", .stage_id = ""}, "NAME_INVALID"},
      {{.run = "r", .save = "1", .stage_id = "s"}, "NAME_INVALID"},
      {{.run = "../r", .save = "1", .stage_id = ""}, "NAME_INVALID"},
      {{.run = "r", .save = "../1", .stage_id = ""}, "NAME_INVALID"},
      {{.run = "r", .save = "", .stage_id = "a/b"}, "NAME_INVALID"},
      {{.run = "r", .save = "1", .stage_id = "", .part = "a/b"}, "NAME_INVALID"},
      {{.run = "r", .save = "1", .stage_id = "", .part = "manifest.json"}, "NAME_INVALID"},
      {{.run = "r", .save = "1", .stage_id = "", .rank = -1}, "FIELD_INVALID"},
      {{.run = "r", .save = "1", .stage_id = "", .part_count = 0}, "FIELD_INVALID"},
      {{.run = "r", .save = "1", .stage_id = "", .size_hint = -1}, "FIELD_INVALID"},
  };
  for (const auto& c : cases) EXPECT_THAT(staging_.OpenPart(c.target), HasReason(c.reason));
  EXPECT_TRUE(fs::is_empty(dir_ / "staging"));
}

TEST_F(StagingTest, IsCompleteWhenEveryPartOfEveryRankIsFinished) {
  EXPECT_THAT(Complete(1), testing::ElementsAre("incomplete"));
  PartTarget target = save_;
  target.part_count = 2;
  for (const int rank : {1, 0}) {
    target.rank = rank;
    for (const char* part : {"weights", "optimizer"}) {
      EXPECT_THAT(Complete(2), testing::ElementsAre("incomplete"));
      target.part = part;
      Upload(target, std::string(part) + std::to_string(rank));
    }
  }
  EXPECT_THAT(Complete(2),
              testing::ElementsAre("optimizer@0", "weights@0", "optimizer@1", "weights@1"));
  EXPECT_THAT(Complete(1), testing::ElementsAre("optimizer@0", "weights@0"));
  EXPECT_THAT(Complete(3), testing::ElementsAre("incomplete"));
}

TEST_F(StagingTest, AnUnfinishedPartDoesNotCount) {
  const auto writer = staging_.OpenPart(save_);
  ASSERT_OK(writer);
  ASSERT_OK(AppendAll(**writer, "abc"));
  EXPECT_THAT(Complete(1), testing::ElementsAre("incomplete"));
}

TEST_F(StagingTest, APartWhoseFileIsGoneDoesNotCount) {
  Upload(save_, "abc");
  fs::remove(dir_ / "staging/r@1/weights");
  EXPECT_THAT(Complete(1), testing::ElementsAre("incomplete"));
}

TEST_F(StagingTest, RanksMayHaveDifferentNumbersOfParts) {
  PartTarget target = save_;
  Upload(target, "a");
  target.rank = 1;
  target.part_count = 2;
  Upload(target, "b");
  EXPECT_THAT(Complete(2), testing::ElementsAre("incomplete"));
  target.part = "optimizer";
  Upload(target, "c");
  EXPECT_THAT(Complete(2), testing::ElementsAre("weights@0", "optimizer@1", "weights@1"));
}

TEST_F(StagingTest, AdoptsAStage) {
  Upload(stage_, "abc");
  EXPECT_OK(staging_.Adopt("r", "s", "1"));
  EXPECT_THAT(Complete(1), testing::ElementsAre("weights@0"));
  EXPECT_EQ(ReadFile(dir_ / "staging/r@1/weights"), "abc");
  EXPECT_FALSE(fs::exists(dir_ / "staging/r@stage.s"));
  EXPECT_EQ(staging_.bytes(), 3);
  EXPECT_THAT(staging_.Adopt("r", "s", "1"), HasReason("ALIAS_UNRESOLVED"));
}

TEST_F(StagingTest, AdoptingReplacesWhatTheSaveHasReceived) {
  Upload(stage_, "abc");
  {
    const auto writer = staging_.OpenPart(save_);
    ASSERT_OK(writer);
    ASSERT_OK(AppendAll(**writer, "partial"));
    EXPECT_THAT(staging_.Adopt("r", "s", "1"), HasReason("UPLOAD_BUSY"));
  }
  EXPECT_OK(staging_.Adopt("r", "s", "1"));
  EXPECT_EQ(ReadFile(dir_ / "staging/r@1/weights"), "abc");
  EXPECT_EQ(staging_.bytes(), 3);
}

TEST_F(StagingTest, AStageBeingWrittenIsNotAdopted) {
  const auto writer = staging_.OpenPart(stage_);
  ASSERT_OK(writer);
  EXPECT_THAT(staging_.Adopt("r", "s", "1"), HasReason("UPLOAD_BUSY"));
  EXPECT_OK((*writer)->Finish(0, ""));
  EXPECT_OK(staging_.Adopt("r", "s", "1"));
}

TEST_F(StagingTest, AFailedAdoptionLeavesTheStage) {
  Upload(stage_, "abc");
  for (const char* operation : {"rename", "stat"}) {
    file_system_.set_plan(FailOperation(operation, "staging/r@", EIO));
    EXPECT_THAT(staging_.Adopt("r", "s", "1"), HasReason("STORAGE_FAILED"));
    file_system_.set_plan(nullptr);
  }
  EXPECT_EQ(staging_.bytes(), 3);
  EXPECT_OK(staging_.Adopt("r", "s", "1"));
  EXPECT_EQ(ReadFile(dir_ / "staging/r@1/weights"), "abc");
}

TEST_F(StagingTest, DiscardsUnderTheHandsOfAWriter) {
  const auto writer = staging_.OpenPart(save_);
  ASSERT_OK(writer);
  ASSERT_OK(AppendAll(**writer, "abc"));
  EXPECT_EQ(staging_.bytes(), 3);
  EXPECT_OK(staging_.Discard("r@1"));
  EXPECT_EQ(staging_.bytes(), 0);
  EXPECT_FALSE(fs::exists(dir_ / "staging/r@1"));
  EXPECT_THAT(AppendAll(**writer, "d"), HasReason("SAVE_NOT_OPEN"));
  // The old writer cannot harm a new one.
  Upload(save_, "new");
  EXPECT_FALSE((*writer)->Finish(3, "").ok());
  EXPECT_THAT(Complete(1), testing::ElementsAre("weights@0"));
  EXPECT_EQ(ReadFile(dir_ / "staging/r@1/weights"), "new");
}

TEST_F(StagingTest, DiscardingNothingIsOk) {
  EXPECT_OK(staging_.Discard("r@1"));
  EXPECT_OK(staging_.Discard("r@stage.none"));
}

TEST_F(StagingTest, DiscardsARun) {
  Upload(save_, "abc");
  Upload(stage_, "abc");
  Upload({.run = "r.other", .save = "1", .stage_id = ""}, "abc");
  EXPECT_OK(staging_.DiscardRun("r"));
  EXPECT_EQ(staging_.bytes(), 3);
  EXPECT_TRUE(fs::exists(dir_ / "staging/r.other@1"));
}

TEST_F(StagingTest, CountsWhatIsFoundOnDisk) {
  Upload(save_, "abc");
  Staging restarted(*root_);
  EXPECT_EQ(restarted.bytes(), 0);
  EXPECT_OK(restarted.Add("r@1"));
  EXPECT_EQ(restarted.bytes(), 3);
}

}  // namespace
}  // namespace ckpt::storage
