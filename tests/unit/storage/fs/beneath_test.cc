#include "storage/fs/beneath.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

TEST(IsPlainPathTest, TakesRelativePathsWithoutTricks) {
  for (const char* path : {"a", "a/b", ".a", "..a", "a..", "a/.../b", "a b", "ä/ö"}) {
    EXPECT_TRUE(IsPlainPath(path)) << path;
  }
  EXPECT_TRUE(IsPlainPath(std::string(255, 'a') + '/' + std::string(255, 'b')));
}

TEST(IsPlainPathTest, RefusesEverythingElse) {
  for (const char* path :
       {"", ".", "..", "/", "/a", "a/", "a//b", "./a", "a/.", "../a", "a/..", "a/../b", "a/./b"}) {
    EXPECT_FALSE(IsPlainPath(path)) << path;
  }
  EXPECT_FALSE(IsPlainPath(std::string(256, 'a')));
  EXPECT_FALSE(IsPlainPath(std::string("a\0b", 3)));
}

using Opener = UniqueFd (*)(int, const std::string&, int, int);

class OpenBeneathTest : public testing::TestWithParam<Opener> {
 protected:
  OpenBeneathTest() : folder_(open(dir_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}

  int ErrnoOfOpening(const std::string& path, int flags = O_RDONLY) {
    const UniqueFd fd = GetParam()(folder_.get(), path, flags, 0640);
    return fd.valid() ? 0 : errno;
  }

  TempDir dir_;
  UniqueFd folder_;
};

INSTANTIATE_TEST_SUITE_P(Both, OpenBeneathTest, testing::Values(&OpenBeneath, &OpenByWalk));

TEST_P(OpenBeneathTest, OpensAndCreatesBelowTheFolder) {
  WriteFile(dir_ / "a/b/file", "x");
  EXPECT_EQ(ErrnoOfOpening("a/b/file"), 0);
  EXPECT_EQ(ErrnoOfOpening("a/b", O_RDONLY | O_DIRECTORY), 0);
  EXPECT_EQ(ErrnoOfOpening("a/new", O_RDWR | O_CREAT | O_EXCL), 0);
  EXPECT_EQ(ErrnoOfOpening("a/new", O_RDWR | O_CREAT | O_EXCL), EEXIST);
  EXPECT_EQ(ErrnoOfOpening("a/missing"), ENOENT);
  EXPECT_EQ(ErrnoOfOpening("missing/file"), ENOENT);
  EXPECT_EQ(ErrnoOfOpening("a/b/file/c"), ENOTDIR);
}

TEST_P(OpenBeneathTest, FollowsNoSymbolicLink) {
  WriteFile(dir_ / "real/file", "x");
  std::filesystem::create_symlink("real", dir_ / "folder_link");
  std::filesystem::create_symlink("real/file", dir_ / "file_link");
  std::filesystem::create_symlink("/", dir_ / "root_link");
  EXPECT_EQ(ErrnoOfOpening("folder_link/file"), ELOOP);
  EXPECT_EQ(ErrnoOfOpening("folder_link", O_RDONLY | O_DIRECTORY), ELOOP);
  EXPECT_EQ(ErrnoOfOpening("file_link"), ELOOP);
  EXPECT_EQ(ErrnoOfOpening("root_link/etc"), ELOOP);
  EXPECT_EQ(ErrnoOfOpening("file_link", O_PATH | O_NOFOLLOW), 0);  // the link itself
}

}  // namespace
}  // namespace ckpt::storage
