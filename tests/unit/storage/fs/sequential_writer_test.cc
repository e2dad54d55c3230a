#include "storage/fs/sequential_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "storage/fs/posix_file_system.h"
#include "tests/unit/storage/testing/faulty_file_system.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

class SequentialWriterTest : public testing::Test {
 protected:
  SequentialWriter Open(int64_t offset) {
    return SequentialWriter(*root_->Open("f", OpenMode::kWrite), offset);
  }
  int64_t Writebacks() const {
    const auto calls = file_system_.calls();
    return std::count(calls.begin(), calls.end(), "writeback f");
  }

  TempDir dir_;
  PosixFileSystem real_;
  FaultyFileSystem file_system_{real_};
  std::unique_ptr<Directory> root_ = *file_system_.OpenDirectory(dir_.path());
};

TEST_F(SequentialWriterTest, AppendsFromItsOffsetOn) {
  WriteFile(dir_ / "f", "abc");
  SequentialWriter writer = Open(3);
  EXPECT_OK(writer.Append(std::vector<std::string_view>{"d", "", "ef"}));
  EXPECT_OK(writer.Append(std::vector<std::string_view>{"g"}));
  EXPECT_EQ(writer.offset(), 7);
  EXPECT_OK(writer.Sync());
  EXPECT_EQ(ReadFile(dir_ / "f"), "abcdefg");
}

TEST_F(SequentialWriterTest, WritesBehindEvery8MiB) {
  SequentialWriter writer = Open(0);
  const std::string mebibyte(1 << 20, 'x');
  const std::vector<std::string_view> piece = {mebibyte};
  for (int i = 0; i < 7; ++i) EXPECT_OK(writer.Append(piece));
  EXPECT_EQ(Writebacks(), 0);
  for (int i = 0; i < 9; ++i) EXPECT_OK(writer.Append(piece));
  EXPECT_EQ(Writebacks(), 2);
  EXPECT_OK(writer.Append(std::vector<std::string_view>(20, mebibyte)));
  EXPECT_EQ(Writebacks(), 3);
}

TEST_F(SequentialWriterTest, ReportsWhatFails) {
  SequentialWriter writer = Open(0);
  file_system_.set_plan(FailOperation("write", "f", ENOSPC));
  EXPECT_THAT(writer.Append(std::vector<std::string_view>{"x"}), HasReason("DISK_FULL"));
  file_system_.set_plan(FailOperation("sync", "f", EIO));
  EXPECT_THAT(writer.Sync(), HasReason("STORAGE_FAILED"));
}

}  // namespace
}  // namespace ckpt::storage
