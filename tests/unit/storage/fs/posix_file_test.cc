#include "storage/fs/posix_file.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <climits>
#include <string>
#include <vector>

#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

class PosixFileTest : public testing::Test {
 protected:
  std::unique_ptr<File> Open(OpenMode mode = OpenMode::kWrite) {
    auto file = root_->Open("f", mode);
    EXPECT_OK(file);
    return *std::move(file);
  }

  TempDir dir_;
  std::unique_ptr<Directory> root_ = dir_.Open();
};

TEST_F(PosixFileTest, WritesPiecesInOrder) {
  const auto file = Open();
  const std::vector<std::string_view> pieces = {"ab", "", "c", "def"};
  EXPECT_OK(file->Write(0, pieces));
  EXPECT_OK(file->Write(2, std::vector<std::string_view>{"X"}));
  EXPECT_OK(file->Write(0, {}));
  EXPECT_EQ(ReadFile(dir_ / "f"), "abXdef");
}

TEST_F(PosixFileTest, WritesMorePiecesThanOneCallTakes) {
  const std::string bytes = Bytes(3 * IOV_MAX + 1);
  std::vector<std::string_view> pieces;
  for (const char& byte : bytes) pieces.emplace_back(&byte, 1);
  EXPECT_OK(Open()->Write(0, pieces));
  EXPECT_EQ(ReadFile(dir_ / "f"), bytes);
}

TEST_F(PosixFileTest, ReadsUpToTheEnd) {
  WriteFile(dir_ / "f", "hello");
  const auto file = Open(OpenMode::kRead);
  std::string buffer(10, '.');
  EXPECT_EQ(file->Read(0, buffer).value_or(-1), 5);
  EXPECT_EQ(buffer, "hello.....");
  EXPECT_EQ(file->Read(3, buffer).value_or(-1), 2);
  EXPECT_EQ(file->Read(5, buffer).value_or(-1), 0);
}

TEST_F(PosixFileTest, SaysWhichFileFailed) {
  WriteFile(dir_ / "f", "");
  const absl::Status status = Open(OpenMode::kRead)->Write(0, std::vector<std::string_view>{"x"});
  EXPECT_THAT(status, HasErrno(EBADF));
  EXPECT_THAT(status, Says(dir_ / "f"));
}

TEST_F(PosixFileTest, ReservesWithoutChangingTheSize) {
  const auto file = Open();
  EXPECT_OK(file->Reserve(1 << 20));
  EXPECT_EQ(file->Info()->size, 0);
  EXPECT_OK(file->Truncate(3));
  EXPECT_EQ(file->Info()->size, 3);
  EXPECT_OK(file->Reserve(0));
}

TEST_F(PosixFileTest, SyncsWritesBackAndSetsTheMode) {
  const auto file = Open();
  EXPECT_OK(file->Write(0, std::vector<std::string_view>{"abc"}));
  EXPECT_OK(file->StartWriteback(0, 3));
  EXPECT_OK(file->Sync());
  file->DropCache();
  EXPECT_OK(file->SetMode(0440));
  EXPECT_EQ(file->Info()->mode, 0440);
  EXPECT_EQ(ReadFile(dir_ / "f"), "abc");
}

TEST_F(PosixFileTest, LocksAgainstEveryOtherOpening) {
  auto first = Open();
  const auto second = Open();
  EXPECT_TRUE(first->TryLock().value_or(false));
  EXPECT_FALSE(second->TryLock().value_or(true));
  first.reset();
  EXPECT_TRUE(second->TryLock().value_or(false));
}

}  // namespace
}  // namespace ckpt::storage
