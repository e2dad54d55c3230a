#include "storage/fs/copy_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <string>
#include <tuple>

#include "storage/fs/posix_file_system.h"
#include "tests/unit/storage/testing/faulty_file_system.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

using testing::Contains;

constexpr int kMode = 0440;

class CopyFileTest : public testing::Test {
 protected:
  absl::Status Copy() { return CopyFile(*source_, "from", *target_, "to", kMode); }

  TempDir from_;
  TempDir to_;
  PosixFileSystem real_;
  FaultyFileSystem file_system_{real_};
  std::unique_ptr<Directory> source_ = *file_system_.OpenDirectory(from_.path());
  std::unique_ptr<Directory> target_ = *file_system_.OpenDirectory(to_.path());
};

TEST_F(CopyFileTest, CopiesFilesOfAnySize) {
  for (const size_t size : {0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20}) {
    const std::string bytes = Bytes(size);
    WriteFile(from_ / "from", bytes);
    ASSERT_OK(Copy());
    EXPECT_EQ(ReadFile(to_ / "to"), bytes);
    struct stat info = {};
    ASSERT_EQ(stat((to_ / "to").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, static_cast<mode_t>(kMode));
    ASSERT_OK(target_->Unlink("to"));
  }
}

TEST_F(CopyFileTest, IsDurableWhenItSaysSo) {
  WriteFile(from_ / "from", "bytes");
  ASSERT_OK(Copy());
  EXPECT_THAT(file_system_.calls(), Contains("sync to"));
  ASSERT_OK(target_->Unlink("to"));
  file_system_.set_plan(FailOperation("sync", "to", EIO));
  EXPECT_THAT(Copy(), HasReason("STORAGE_FAILED"));
}

TEST_F(CopyFileTest, ReplacesNothing) {
  WriteFile(from_ / "from", "bytes");
  WriteFile(to_ / "to", "mine");
  EXPECT_THAT(Copy(), HasErrno(EEXIST));
  EXPECT_EQ(ReadFile(to_ / "to"), "mine");
}

TEST_F(CopyFileTest, SaysWhatFailed) {
  EXPECT_THAT(Copy(), HasErrno(ENOENT));
  WriteFile(from_ / "from", "bytes");
  for (const auto& [operation, path, error] :
       {std::tuple("read", "from", EIO), std::tuple("write", "to", ENOSPC)}) {
    file_system_.set_plan(FailOperation(operation, path, error));
    EXPECT_THAT(Copy(), HasErrno(error)) << operation;
    file_system_.set_plan(nullptr);
    ASSERT_OK(target_->Unlink("to"));
  }
}

}  // namespace
}  // namespace ckpt::storage
