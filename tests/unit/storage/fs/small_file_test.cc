#include "storage/fs/small_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "storage/fs/posix_file_system.h"
#include "tests/unit/storage/testing/faulty_file_system.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

using testing::ElementsAre;

class SmallFileTest : public testing::Test {
 protected:
  SmallFileTest() {
    EXPECT_OK(root_->MakeDirectory("d"));
    file_system_.Reset();
  }

  TempDir dir_;
  PosixFileSystem real_;
  FaultyFileSystem file_system_{real_};
  std::unique_ptr<Directory> root_ = *file_system_.OpenDirectory(dir_.path());
};

TEST(TemporaryForTest, IsHiddenAndInTheSameFolder) {
  EXPECT_EQ(TemporaryFor("f"), ".f.tmp");
  EXPECT_EQ(TemporaryFor("a/b/f.json"), "a/b/.f.json.tmp");
}

TEST_F(SmallFileTest, ReadsWhatWasWritten) {
  EXPECT_OK(ReplaceSmallFile(*root_, "d/f", "one"));
  EXPECT_OK(ReplaceSmallFile(*root_, "d/f", "2"));
  EXPECT_EQ(ReadSmallFile(*root_, "d/f", 10)->value_or(""), "2");
  EXPECT_OK(ReplaceSmallFile(*root_, "d/f", ""));
  EXPECT_EQ(ReadSmallFile(*root_, "d/f", 10)->value_or("?"), "");
  EXPECT_THAT(FilesBelow(dir_.path()), ElementsAre("d/f"));
}

TEST_F(SmallFileTest, ReadsNothingFromNothing) {
  EXPECT_FALSE(ReadSmallFile(*root_, "d/f", 10)->has_value());
  EXPECT_THAT(ReadSmallFile(*root_, "d", 1 << 20), HasErrno(EISDIR));
}

TEST_F(SmallFileTest, RefusesAFileThatIsTooLarge) {
  WriteFile(dir_ / "d/f", "12345");
  EXPECT_EQ(ReadSmallFile(*root_, "d/f", 5)->value_or(""), "12345");
  EXPECT_THAT(ReadSmallFile(*root_, "d/f", 4), HasReason("FIELD_INVALID"));
}

TEST_F(SmallFileTest, SyncsBeforeAndAfterTheRename) {
  EXPECT_OK(ReplaceSmallFile(*root_, "d/f", "x"));
  EXPECT_THAT(file_system_.calls(),
              ElementsAre("unlink d/.f.tmp", "create d/.f.tmp", "write d/.f.tmp", "sync d/.f.tmp",
                          "rename d/f", "syncdir d"));
}

TEST_F(SmallFileTest, HasOldOrNewContentWhateverFails) {
  ASSERT_OK(ReplaceSmallFile(*root_, "d/f", "old"));
  file_system_.Reset();
  ASSERT_OK(ReplaceSmallFile(*root_, "d/f", "old"));
  const auto calls = static_cast<int64_t>(file_system_.calls().size());
  for (int64_t k = 1; k <= calls; ++k) {
    file_system_.Reset();
    file_system_.set_plan(FailOnce(k, EIO));
    EXPECT_THAT(ReplaceSmallFile(*root_, "d/f", "new"), HasErrno(EIO)) << k;
    file_system_.set_plan(nullptr);
    EXPECT_THAT(ReadFile(dir_ / "d/f"), testing::AnyOf("old", "new")) << k;
    ASSERT_OK(ReplaceSmallFile(*root_, "d/f", "old"));
  }
}

TEST_F(SmallFileTest, NeverSyncsAFileAgainWhoseSyncHasFailed) {
  file_system_.set_plan(FailOperation("sync", "f", EIO));
  EXPECT_THAT(ReplaceSmallFile(*root_, "d/f", "new"), HasErrno(EIO));
  EXPECT_THAT(FilesBelow(dir_.path()), ElementsAre());
}

}  // namespace
}  // namespace ckpt::storage
