#include "client/cpp/src/local_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/errors.h"
#include "tests/unit/client/support/temp_folder.h"

namespace ckpt::client {
namespace {

using ckpt::testing::ReadText;
using ckpt::testing::TempFolder;
using ckpt::testing::WriteText;

absl::Status Append(absl::StatusOr<LocalFile>& file, std::string_view bytes) {
  return file->Append({&bytes, 1});
}

TEST(LocalFileTest, TakesAnyNumberOfPieces) {
  const TempFolder folder;
  auto file = LocalFile::Open(folder.File("f"));
  ASSERT_TRUE(file.ok()) << file.status();
  std::string expected;
  for (const size_t count : {0, 1, 2, 1024, 5000}) {  // the system takes 1,024 at once
    std::vector<std::string> texts;
    for (size_t i = 0; i < count; ++i) texts.push_back(i % 7 == 0 ? "" : std::to_string(i));
    ASSERT_TRUE(file->Append(std::vector<std::string_view>(texts.begin(), texts.end())).ok());
    for (const std::string& text : texts) expected += text;
    EXPECT_EQ(ReadText(folder.File("f")), expected) << count;
  }
}

TEST(LocalFileTest, GrowsAtItsEnd) {
  const TempFolder folder;
  WriteText(folder.File("f"), "old ");
  auto file = LocalFile::Open(folder.File("f"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(*file->Size(), 4);
  ASSERT_TRUE(Append(file, "new").ok());
  ASSERT_TRUE(file->Sync().ok());
  std::string content;
  ASSERT_TRUE(file->ReadAll([&](std::string_view bytes) { content += bytes; }).ok());
  EXPECT_EQ(content, "old new");
  ASSERT_TRUE(file->Clear().ok());
  ASSERT_TRUE(Append(file, "x").ok());
  EXPECT_EQ(ReadText(folder.File("f")), "x");
}

TEST(LocalFileTest, HasOneWriter) {
  const TempFolder folder;
  auto first = LocalFile::Open(folder.File("f"));
  ASSERT_TRUE(first.ok());
  const auto second = LocalFile::Open(folder.File("f"));
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
}

TEST(LocalFileTest, ErrorsNameTheFile) {
  const auto file = LocalFile::Open("/nowhere/at/all");
  EXPECT_EQ(MessageOf(file.status()), "cannot open '/nowhere/at/all': No such file or directory");
}

TEST(LocalFileTest, AFullDiskIsResourceExhausted) {
  auto file = LocalFile::Open("/dev/full");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(absl::IsResourceExhausted(Append(file, "x")));
}

TEST(PrepareFolderTest, KeepsWhatIsWantedAndNothingElse) {
  const TempFolder folder;
  const std::string path = folder.File("d");
  const auto keep = [](std::string_view name) { return name == "weights"; };
  ASSERT_TRUE(PrepareFolder(path, keep).ok());
  WriteText(path + "/weights", "w");
  WriteText(path + "/stale", "s");
  ASSERT_TRUE(PrepareFolder(path, keep).ok());
  EXPECT_TRUE(Exists(path + "/weights"));
  EXPECT_FALSE(Exists(path + "/stale"));
}

TEST(PrepareFolderTest, AFileInTheWayIsAnError) {
  const TempFolder folder;
  WriteText(folder.File("d"), "file");
  EXPECT_FALSE(PrepareFolder(folder.File("d"), [](std::string_view) { return true; }).ok());
  EXPECT_EQ(ReadText(folder.File("d")), "file");
}

TEST(RenameDurablyTest, ReplacesAFileButNoFolder) {
  const TempFolder folder;
  WriteText(folder.File("from"), "new");
  WriteText(folder.File("to"), "old");
  ASSERT_TRUE(RenameDurably(folder.File("from"), folder.File("to")).ok());
  EXPECT_EQ(ReadText(folder.File("to")), "new");
  EXPECT_FALSE(Exists(folder.File("from")));
  EXPECT_FALSE(RenameDurably(folder.File("to"), folder.path()).ok());
}

TEST(RemoveFileTest, IsContentWithNothing) {
  const TempFolder folder;
  EXPECT_TRUE(RemoveFile(folder.File("nothing")).ok());
}

}  // namespace
}  // namespace ckpt::client
