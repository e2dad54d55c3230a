#include "storage/fs/folders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "storage/fs/posix_file_system.h"
#include "tests/unit/storage/testing/faulty_file_system.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;

TEST(FolderOfTest, TakesTheLastComponentAway) {
  EXPECT_EQ(FolderOf("a"), ".");
  EXPECT_EQ(FolderOf("a/b"), "a");
  EXPECT_EQ(FolderOf("a/b/c"), "a/b");
}

class FoldersTest : public testing::Test {
 protected:
  TempDir dir_;
  PosixFileSystem real_;
  FaultyFileSystem file_system_{real_};
  std::unique_ptr<Directory> root_ = *file_system_.OpenDirectory(dir_.path());
};

TEST_F(FoldersTest, EnsureFolderMakesItDurable) {
  file_system_.Reset();
  EXPECT_OK(EnsureFolder(*root_, "d"));
  EXPECT_THAT(file_system_.calls(), testing::ElementsAre("mkdir d", "syncdir ."));
  EXPECT_OK(EnsureFolder(*root_, "d/e"));
  EXPECT_TRUE(fs::is_directory(dir_ / "d/e"));
}

TEST_F(FoldersTest, EnsureFolderMakesOneDurableThatWasThere) {
  fs::create_directory(dir_ / "d");
  file_system_.Reset();
  EXPECT_OK(EnsureFolder(*root_, "d"));
  EXPECT_THAT(file_system_.calls(), testing::ElementsAre("mkdir d", "stat d", "syncdir ."));
}

TEST_F(FoldersTest, EnsureFolderRefusesAFileInTheWay) {
  WriteFile(dir_ / "d", "");
  EXPECT_THAT(EnsureFolder(*root_, "d"), HasErrno(ENOTDIR));
}

TEST_F(FoldersTest, EnsureFolderLeavesNothingThatMayNotBeDurable) {
  file_system_.set_plan(FailOperation("syncdir", ".", EIO));
  EXPECT_THAT(EnsureFolder(*root_, "d"), HasErrno(EIO));
  EXPECT_FALSE(fs::exists(dir_ / "d"));
}

TEST_F(FoldersTest, RemoveTreeRemovesEverythingButWhatLinksLeadTo) {
  WriteFile(dir_ / "outside/f", "x");
  WriteFile(dir_ / "t/a/b/f", "");
  WriteFile(dir_ / "t/f", "");
  fs::create_directory_symlink(dir_ / "outside", dir_ / "t/a/link");
  EXPECT_TRUE(RemoveTree(*root_, "t").value_or(false));
  EXPECT_FALSE(fs::exists(dir_ / "t"));
  EXPECT_EQ(ReadFile(dir_ / "outside/f"), "x");
  EXPECT_TRUE(RemoveTree(*root_, "outside/f").value_or(false));
}

TEST_F(FoldersTest, RemoveTreeOfNothingIsOk) {
  EXPECT_FALSE(RemoveTree(*root_, "missing").value_or(true));
  EXPECT_FALSE(RemoveTree(*root_, "missing/too").value_or(true));
}

}  // namespace
}  // namespace ckpt::storage
