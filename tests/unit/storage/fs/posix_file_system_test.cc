#include "storage/fs/posix_file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::Field;

class PosixDirectoryTest : public testing::TestWithParam<PosixFileSystem::Resolve> {
 protected:
  PosixDirectoryTest() : file_system_(GetParam()) {
    auto root = file_system_.OpenDirectory(dir_.path());
    EXPECT_OK(root);
    root_ = *std::move(root);
  }

  absl::Status Write(const std::string& path, std::string_view content) {
    auto file = root_->Open(path, OpenMode::kWrite);
    if (!file.ok()) return file.status();
    return (*file)->Write(0, {&content, 1});
  }

  TempDir dir_;
  PosixFileSystem file_system_;
  std::unique_ptr<Directory> root_;
};

INSTANTIATE_TEST_SUITE_P(Resolve, PosixDirectoryTest,
                         testing::Values(PosixFileSystem::Resolve::kOpenat2,
                                         PosixFileSystem::Resolve::kWalk));

TEST_P(PosixDirectoryTest, OpensFilesByMode) {
  EXPECT_THAT(root_->Open("f", OpenMode::kRead), HasErrno(ENOENT));
  EXPECT_OK(root_->Open("f", OpenMode::kWrite));
  EXPECT_OK(root_->Open("f", OpenMode::kRead));
  EXPECT_THAT(root_->Open("f", OpenMode::kCreate), HasErrno(EEXIST));
  EXPECT_OK(root_->Open("g", OpenMode::kCreate));
}

TEST_P(PosixDirectoryTest, RefusesMalformedPathsEverywhere) {
  ASSERT_OK(Write("f", "x"));
  for (const std::string path : {"", "..", "../f", "/etc/passwd", "a//b", "a/../f"}) {
    EXPECT_THAT(root_->Open(path, OpenMode::kWrite), HasErrno(EINVAL)) << path;
    EXPECT_THAT(root_->Info(path), HasErrno(EINVAL)) << path;
    EXPECT_THAT(root_->List(path), HasErrno(EINVAL)) << path;
    EXPECT_THAT(root_->MakeDirectory(path), HasErrno(EINVAL)) << path;
    EXPECT_THAT(root_->RemoveDirectory(path), HasErrno(EINVAL)) << path;
    EXPECT_THAT(root_->Rename("f", path), HasErrno(EINVAL)) << path;
    EXPECT_THAT(root_->Rename(path, "g"), HasErrno(EINVAL)) << path;
    EXPECT_THAT(root_->Link("f", path), HasErrno(EINVAL)) << path;
    EXPECT_THAT(root_->Clone("f", path), HasErrno(EINVAL)) << path;
    EXPECT_THAT(root_->Unlink(path), HasErrno(EINVAL)) << path;
    EXPECT_THAT(root_->Sync(path), HasErrno(EINVAL)) << path;
  }
}

TEST_P(PosixDirectoryTest, FollowsNoSymbolicLinkAnywhere) {
  WriteFile(dir_ / "real/f", "x");
  fs::create_directory_symlink(dir_ / "real", dir_ / "link");
  EXPECT_THAT(root_->Open("link/f", OpenMode::kRead), HasErrno(ELOOP));
  EXPECT_THAT(root_->Info("link/f"), HasErrno(ELOOP));
  EXPECT_THAT(root_->List("link"), HasErrno(ELOOP));
  EXPECT_THAT(root_->MakeDirectory("link/d"), HasErrno(ELOOP));
  EXPECT_THAT(root_->Rename("real/f", "link/g"), HasErrno(ELOOP));
  EXPECT_THAT(root_->Link("real/f", "link/g"), HasErrno(ELOOP));
  EXPECT_THAT(root_->Unlink("link/f"), HasErrno(ELOOP));
  EXPECT_THAT(root_->Sync("link"), HasErrno(ELOOP));
  const auto info = root_->Info("link");
  ASSERT_OK(info);
  EXPECT_EQ((*info)->kind, FileKind::kSymlink);
  EXPECT_OK(root_->Unlink("link"));  // the link, not what it leads to
  EXPECT_EQ(ReadFile(dir_ / "real/f"), "x");
}

TEST_P(PosixDirectoryTest, InfoTellsWhatIsThere) {
  ASSERT_OK(Write("f", "12345"));
  ASSERT_OK(root_->MakeDirectory("d"));
  ASSERT_OK(root_->Link("f", "d/g"));
  const auto file = root_->Info("f");
  ASSERT_OK(file);
  ASSERT_TRUE(file->has_value());
  EXPECT_EQ((*file)->kind, FileKind::kFile);
  EXPECT_EQ((*file)->size, 5);
  EXPECT_EQ((*file)->links, 2u);
  EXPECT_EQ((*file)->mode, 0640);
  EXPECT_GT((*file)->mtime_unix_nanos, 1'500'000'000'000'000'000);
  EXPECT_EQ((*file)->inode, (*root_->Info("d/g"))->inode);
  EXPECT_EQ((*root_->Info("d"))->kind, FileKind::kDirectory);
  EXPECT_EQ((*root_->Info("d"))->mode, 0750);
  EXPECT_EQ((*root_->Info("."))->kind, FileKind::kDirectory);
  EXPECT_FALSE(root_->Info("missing")->has_value());
  EXPECT_FALSE(root_->Info("missing/f")->has_value());
  EXPECT_THAT(root_->Info("f/g"), HasErrno(ENOTDIR));
}

TEST_P(PosixDirectoryTest, ListsByName) {
  ASSERT_OK(root_->MakeDirectory("b"));
  ASSERT_OK(Write("c", ""));
  fs::create_symlink("nowhere", dir_ / "a");
  const auto entries = root_->List(".");
  ASSERT_OK(entries);
  EXPECT_THAT(*entries,
              ElementsAre(Field(&DirectoryEntry::name, "a"), Field(&DirectoryEntry::name, "b"),
                          Field(&DirectoryEntry::name, "c")));
  EXPECT_EQ((*entries)[0].kind, FileKind::kSymlink);
  EXPECT_EQ((*entries)[1].kind, FileKind::kDirectory);
  EXPECT_EQ((*entries)[2].kind, FileKind::kFile);
  EXPECT_THAT(root_->List("missing"), HasErrno(ENOENT));
  EXPECT_THAT(root_->List("c"), HasErrno(ENOTDIR));
}

TEST_P(PosixDirectoryTest, MakesAndRemovesFolders) {
  EXPECT_OK(root_->MakeDirectory("d"));
  EXPECT_THAT(root_->MakeDirectory("d"), HasErrno(EEXIST));
  EXPECT_THAT(root_->MakeDirectory("x/y"), HasErrno(ENOENT));
  ASSERT_OK(Write("d/f", ""));
  EXPECT_THAT(root_->RemoveDirectory("d"), HasErrno(ENOTEMPTY));
  ASSERT_OK(root_->Unlink("d/f"));
  EXPECT_OK(root_->RemoveDirectory("d"));
  EXPECT_THAT(root_->RemoveDirectory("d"), HasErrno(ENOENT));
  EXPECT_THAT(root_->Unlink("d"), HasErrno(ENOENT));
}

TEST_P(PosixDirectoryTest, RenamesAndExchanges) {
  ASSERT_OK(Write("a", "A"));
  ASSERT_OK(Write("b", "B"));
  ASSERT_OK(root_->MakeDirectory("d"));
  EXPECT_OK(root_->Rename("a", "d/a"));
  EXPECT_OK(root_->Exchange("d", "b"));  // a folder and a file
  EXPECT_EQ(ReadFile(dir_ / "b/a"), "A");
  EXPECT_EQ(ReadFile(dir_ / "d"), "B");
  EXPECT_THAT(root_->Exchange("d", "missing"), HasErrno(ENOENT));
  ASSERT_OK(Write("c", "C"));
  EXPECT_OK(root_->Rename("c", "d"));  // replaces
  EXPECT_EQ(ReadFile(dir_ / "d"), "C");
}

TEST_P(PosixDirectoryTest, RenameBetweenNamesOfOneFileLeavesBoth) {
  ASSERT_OK(Write("a", "A"));
  ASSERT_OK(root_->Link("a", "b"));
  EXPECT_OK(root_->Rename("a", "b"));
  EXPECT_EQ(ReadFile(dir_ / "a"), "A");
  EXPECT_EQ(ReadFile(dir_ / "b"), "A");
}

TEST_P(PosixDirectoryTest, LinksNewNamesOnly) {
  ASSERT_OK(Write("a", "A"));
  EXPECT_OK(root_->Link("a", "b"));
  EXPECT_THAT(root_->Link("a", "b"), HasErrno(EEXIST));
  EXPECT_THAT(root_->Link("missing", "c"), HasErrno(ENOENT));
}

TEST_P(PosixDirectoryTest, ClonesOrLeavesNothingBehind) {
  ASSERT_OK(Write("a", "A"));
  const absl::Status status = root_->Clone("a", "b");
  if (status.ok()) {
    EXPECT_EQ(ReadFile(dir_ / "b"), "A");
  } else {
    EXPECT_THAT(status, HasErrno(EOPNOTSUPP));
    EXPECT_FALSE(fs::exists(dir_ / "b"));
  }
}

TEST_P(PosixDirectoryTest, SyncsFoldersAndTellsFreeSpace) {
  ASSERT_OK(root_->MakeDirectory("d"));
  EXPECT_OK(root_->Sync("."));
  EXPECT_OK(root_->Sync("d"));
  EXPECT_THAT(root_->Sync("missing"), HasErrno(ENOENT));
  const auto free = root_->FreeBytes();
  ASSERT_OK(free);
  EXPECT_GT(*free, 0);
}

TEST(PosixFileSystemTest, CreatesTheFolderAndItsParents) {
  TempDir dir;
  PosixFileSystem file_system;
  const auto root = file_system.OpenDirectory(dir / "a/b//c/");
  ASSERT_OK(root);
  struct stat info;
  ASSERT_EQ(stat((dir / "a/b/c").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0750u);
}

TEST(PosixFileSystemTest, FollowsLinksToTheFolderItself) {
  TempDir dir;
  fs::create_directory(dir / "real");
  fs::create_directory_symlink(dir / "real", dir / "link");
  PosixFileSystem file_system;
  const auto root = file_system.OpenDirectory(dir / "link");
  ASSERT_OK(root);
  EXPECT_OK((*root)->MakeDirectory("d"));
  EXPECT_TRUE(fs::exists(dir / "real/d"));
}

TEST(PosixFileSystemTest, RefusesAFile) {
  TempDir dir;
  WriteFile(dir / "f", "");
  PosixFileSystem file_system;
  EXPECT_THAT(file_system.OpenDirectory(dir / "f"), HasErrno(ENOTDIR));
  EXPECT_THAT(file_system.OpenDirectory(dir / "f/g"), HasErrno(ENOTDIR));
}

TEST(ErrnoOfTest, IsZeroForEverythingElse) {
  EXPECT_EQ(ErrnoOf(absl::OkStatus()), 0);
  EXPECT_EQ(ErrnoOf(RunNotFound("r")), 0);
  EXPECT_EQ(ErrnoOf(FileError("open", "f", ENOENT)), ENOENT);
}

}  // namespace
}  // namespace ckpt::storage
