#include "storage/blob/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;

class RunFolderTest : public testing::Test {
 protected:
  RunFolderTest() { EXPECT_OK(root_->MakeDirectory("runs")); }

  TempDir dir_;
  std::unique_ptr<Directory> root_ = dir_.Open();
};

TEST_F(RunFolderTest, RemovesAFolderOfEmptyFolders) {
  fs::create_directories(dir_ / "runs/r/a/b/c");
  fs::create_directories(dir_ / "runs/r/d");
  EXPECT_OK(RemoveEmptyRunFolder(*root_, "r"));
  EXPECT_FALSE(fs::exists(dir_ / "runs/r"));
  EXPECT_OK(RemoveEmptyRunFolder(*root_, "r"));
}

TEST_F(RunFolderTest, LeavesWhatIsNotEmpty) {
  fs::create_directories(dir_ / "runs/r/a/b");
  WriteFile(dir_ / "runs/r/c/notes.txt", "mine");
  EXPECT_OK(RemoveEmptyRunFolder(*root_, "r"));
  EXPECT_FALSE(fs::exists(dir_ / "runs/r/a"));
  EXPECT_EQ(ReadFile(dir_ / "runs/r/c/notes.txt"), "mine");
}

TEST_F(RunFolderTest, RemovesTemporariesOnly) {
  WriteFile(dir_ / "runs/r/best.h5", "x");
  WriteFile(dir_ / "runs/r/.ckptd-1", "x");
  WriteFile(dir_ / "runs/r/a/b/.ckptd-2-old/weights", "x");
  WriteFile(dir_ / "runs/r/.hidden", "x");
  WriteFile(dir_ / "outside/.ckptd-3", "x");
  fs::create_directory_symlink(dir_ / "outside", dir_ / "runs/r/link");
  EXPECT_EQ(RemoveTemporaries(*root_).value_or(-1), 2);
  EXPECT_THAT(FilesBelow(dir_ / "runs"), testing::ElementsAre("r/.hidden", "r/best.h5", "r/link"));
  EXPECT_EQ(ReadFile(dir_ / "outside/.ckptd-3"), "x");
  EXPECT_EQ(RemoveTemporaries(*root_).value_or(-1), 0);
}

}  // namespace
}  // namespace ckpt::storage
