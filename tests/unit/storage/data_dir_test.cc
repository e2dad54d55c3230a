#include "storage/data_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "storage/fs/posix_file_system.h"
#include "tests/unit/storage/testing/faulty_file_system.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;

class DataDirTest : public testing::Test {
 protected:
  absl::StatusOr<DataDir> Open() { return OpenDataDir(file_system_, data_); }

  TempDir dir_;
  const std::string data_ = dir_ / "deep/data";
  PosixFileSystem real_;
  FaultyFileSystem file_system_{real_};
};

TEST_F(DataDirTest, MakesEverythingItNeeds) {
  const auto data = Open();
  ASSERT_OK(data);
  EXPECT_EQ(data->path, data_);
  EXPECT_EQ(fs::status(data_).permissions(), fs::perms(0750));
  EXPECT_EQ(ReadFile(data_ + "/VERSION"), "1\n");
  EXPECT_EQ(ReadFile(data_ + "/LOCK"), std::to_string(getpid()) + '\n');
  for (const char* folder : {"staging", "blobs", "runs"}) {
    EXPECT_TRUE(fs::is_directory(data_ + '/' + folder)) << folder;
  }
}

TEST_F(DataDirTest, OpensAgain) {
  EXPECT_OK(Open());
  EXPECT_OK(Open());
}

TEST_F(DataDirTest, ItsPathIsAbsoluteAndPlain) {
  const auto data = OpenDataDir(file_system_, data_ + "/../data/");
  ASSERT_OK(data);
  EXPECT_EQ(data->path, data_);
  EXPECT_THAT(OpenDataDir(file_system_, ""), HasReason("FIELD_INVALID"));
}

TEST_F(DataDirTest, HasOneHolderPerProcess) {
  const auto first = Open();
  ASSERT_OK(first);
  const auto second = Open();
  EXPECT_THAT(second, HasReason("DATA_DIR_IN_USE"));
  EXPECT_THAT(second, Says("pid " + std::to_string(getpid())));
}

TEST_F(DataDirTest, NamesTheProcessThatHasIt) {
  int to_child[2];
  int to_parent[2];
  ASSERT_EQ(pipe(to_child), 0);
  ASSERT_EQ(pipe(to_parent), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto data = Open();
    const char opened = data.ok() ? 'y' : 'n';
    char wait = 0;
    if (write(to_parent[1], &opened, 1) == 1) (void)!read(to_child[0], &wait, 1);
    _exit(0);
  }
  char opened = 0;
  ASSERT_EQ(read(to_parent[0], &opened, 1), 1);
  EXPECT_EQ(opened, 'y');
  const auto data = Open();
  EXPECT_THAT(data, HasReason("DATA_DIR_IN_USE"));
  EXPECT_EQ(MetadataOf(data.status()).at("pid"), std::to_string(child));
  ASSERT_EQ(write(to_child[1], "x", 1), 1);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_OK(Open());  // the lock goes with its process
  for (const int fd : {to_child[0], to_child[1], to_parent[0], to_parent[1]}) close(fd);
}

TEST_F(DataDirTest, RefusesNewerVersionsAndNonsense) {
  ASSERT_OK(Open());
  const struct {
    const char* content;
    const char* reason;
  } cases[] = {{"2\n", "VERSION_TOO_NEW"}, {"2", "VERSION_TOO_NEW"},
               {"", "FIELD_INVALID"},      {"0\n", "FIELD_INVALID"},
               {"x\n", "FIELD_INVALID"},   {"1 \n", "FIELD_INVALID"},
               {"-1\n", "FIELD_INVALID"},  {"99999999999999999999\n", "FIELD_INVALID"}};
  for (const auto& c : cases) {
    WriteFile(data_ + "/VERSION", c.content);
    EXPECT_THAT(Open(), HasReason(c.reason)) << c.content;
    EXPECT_THAT(Open(), Says(data_)) << c.content;
  }
  WriteFile(data_ + "/VERSION", "7\n");
  EXPECT_THAT(Open(), Says("version 7"));
  WriteFile(data_ + "/VERSION", "1");
  EXPECT_OK(Open());
}

TEST_F(DataDirTest, ExplainsWhatStandsInItsWay) {
  WriteFile(dir_ / "file", "");
  const auto file = OpenDataDir(file_system_, dir_ / "file");
  EXPECT_THAT(file, HasReason("FIELD_INVALID"));
  EXPECT_THAT(file, Says("no folder"));
  const struct {
    const char* operation;
    int error;
    const char* reason;
    const char* text;
  } cases[] = {{"create", EACCES, "FIELD_INVALID", "may not write there"},
               {"create", EROFS, "FIELD_INVALID", "read-only"},
               {"opendir", EACCES, "FIELD_INVALID", "--data-dir"},
               {"create", ENOSPC, "DISK_FULL", "data_dir"},
               {"lock", EIO, "STORAGE_FAILED", "data_dir"},
               {"mkdir", EROFS, "FIELD_INVALID", "read-only"}};
  for (const auto& c : cases) {
    file_system_.set_plan(FailOperation(c.operation, "", c.error));
    const auto data = Open();
    EXPECT_THAT(data, HasReason(c.reason)) << c.operation;
    EXPECT_THAT(data, Says(c.text)) << c.operation;
    EXPECT_THAT(data, Says(data_)) << c.operation;
  }
}

TEST_F(DataDirTest, RefusesAFolderThatHasLostItsVersion) {
  ASSERT_OK(Open());
  fs::remove(data_ + "/VERSION");
  EXPECT_THAT(Open(), HasReason("FIELD_INVALID"));
  EXPECT_THAT(Open(), Says("a backup that was not finished"));
  EXPECT_FALSE(fs::exists(data_ + "/VERSION"));
}

class CheckIndexTest : public DataDirTest {
 protected:
  void SetUp() override {
    auto data = Open();
    ASSERT_OK(data);
    root_ = std::move(data->root);
  }
  absl::Status Check() { return CheckIndex(*root_, data_); }

  std::unique_ptr<Directory> root_;
};

TEST_F(CheckIndexTest, RefusesCheckpointsWithoutAnIndex) {
  fs::create_directories(data_ + "/blobs/ab");
  EXPECT_OK(Check());
  fs::create_directories(data_ + "/blobs/ab/r@1");
  EXPECT_THAT(Check(), HasReason("INDEX_DAMAGED"));
  EXPECT_THAT(Check(), Says("'ckptd --rebuild-index'"));
  EXPECT_TRUE(fs::exists(data_ + "/blobs/ab/r@1"));
  WriteFile(data_ + "/index/CURRENT", "x");
  EXPECT_OK(Check());
}

TEST_F(CheckIndexTest, RefusesAnInterruptedRebuild) {
  WriteFile(data_ + "/index.rebuilt/CURRENT", "x");
  EXPECT_THAT(Check(), HasReason("INDEX_DAMAGED"));
  EXPECT_THAT(Check(), Says("'ckptd --rebuild-index'"));
  EXPECT_TRUE(fs::exists(data_ + "/index.rebuilt/CURRENT"));
}

// From here on the index changes, and what a rebuild made of it before is out of date.
TEST_F(CheckIndexTest, RemovesWhatARebuildHasLeftBesideTheIndex) {
  WriteFile(data_ + "/index/CURRENT", "x");
  WriteFile(data_ + "/index.rebuilt/CURRENT", "x");
  WriteFile(data_ + "/index.rebuilding/CURRENT", "x");
  WriteFile(data_ + "/index.damaged-1/CURRENT", "x");
  EXPECT_OK(Check());
  EXPECT_FALSE(fs::exists(data_ + "/index.rebuilt"));
  EXPECT_FALSE(fs::exists(data_ + "/index.rebuilding"));
  EXPECT_TRUE(fs::exists(data_ + "/index.damaged-1/CURRENT"));
}

}  // namespace
}  // namespace ckpt::storage
