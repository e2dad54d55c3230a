#include "storage/blob/projection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <string>

#include "storage/fs/posix_file_system.h"
#include "tests/unit/storage/testing/faulty_file_system.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;
using testing::AnyOf;
using testing::ElementsAre;
using Options = v1::StorageOptions;

ino_t InodeOf(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_ino;
}

class ProjectionTest : public testing::Test {
 protected:
  ProjectionTest() {
    EXPECT_OK(root_->MakeDirectory("runs"));
    MakeBlob("one", {{"weights", "1"}});
    MakeBlob("two", {{"weights", "2"}});
    MakeBlob("parts", {{"optimizer", "po"}, {"weights", "pw"}});
    MakeBlob("ranks", {{"weights", "r0"}, {"weights@1", "r1"}});
    file_system_.Reset();
  }

  void MakeBlob(const std::string& name,
                const std::vector<std::pair<std::string, std::string>>& files) {
    for (const auto& [file, content] : files) {
      const std::string path = dir_ / "blobs/" + name + '/' + file;
      WriteFile(path, content);
      fs::permissions(path, fs::perms(0440));
    }
  }
  ProjectedName Name(const std::string& filepath, const std::string& blob,
                     Options::Projection projection = Options::PROJECTION_UNSPECIFIED) {
    ProjectedName name{.run = "r",
                       .filepath = filepath,
                       .projection = projection,
                       .blob = "blobs/" + blob,
                       .files = {"weights"},
                       .temporary = ".ckptd-7"};
    if (blob == "parts") name.files = {"optimizer", "weights"};
    if (blob == "ranks") name.files = {"weights", "weights@1"};
    return name;
  }
  absl::Status Place(const ProjectedName& name) {
    return PlaceName(*root_, name, [this](const std::string& path) { return Owned(path); });
  }
  absl::Status Check(const std::string& filepath) {
    return CheckName(*root_, "r", filepath,
                     [this](const std::string& path) { return Owned(path); });
  }
  absl::StatusOr<bool> Owned(const std::string& path) { return owned_.contains(path); }
  std::string Run(const std::string& path = "") {
    return dir_ / "runs/r" + (path.empty() ? "" : '/' + path);
  }

  TempDir dir_;
  PosixFileSystem real_;
  FaultyFileSystem file_system_{real_};
  std::unique_ptr<Directory> root_ = *file_system_.OpenDirectory(dir_.path());
  std::set<std::string> owned_;
};

TEST_F(ProjectionTest, LinksOnePart) {
  EXPECT_OK(Place(Name("a/b/best.h5", "one")));
  EXPECT_EQ(ReadFile(Run("a/b/best.h5")), "1");
  EXPECT_EQ(InodeOf(Run("a/b/best.h5")), InodeOf(dir_ / "blobs/one/weights"));
  EXPECT_THAT(FilesBelow(dir_ / "runs"), ElementsAre("r/a/b/best.h5"));
  EXPECT_TRUE(IsInPlace(*root_, Name("a/b/best.h5", "one")).value_or(false));
  EXPECT_FALSE(IsInPlace(*root_, Name("a/b/best.h5", "two")).value_or(true));
}

TEST_F(ProjectionTest, SyncsEveryFolderAboveTheName) {
  EXPECT_OK(Place(Name("a/best.h5", "one")));
  const auto calls = file_system_.calls();
  const auto at = [&](const char* call) { return std::find(calls.begin(), calls.end(), call); };
  const auto renamed = at("rename runs/r/a/best.h5");
  ASSERT_NE(renamed, calls.end());
  for (const char* folder : {"syncdir runs/r/a", "syncdir runs/r", "syncdir runs"}) {
    EXPECT_NE(at(folder), calls.end()) << folder;
    EXPECT_LT(renamed, at(folder)) << folder;
  }
}

TEST_F(ProjectionTest, ReplacesTheNameOfAnOlderCheckpoint) {
  EXPECT_OK(Place(Name("best.h5", "one")));
  EXPECT_OK(Place(Name("best.h5", "two")));
  EXPECT_EQ(ReadFile(Run("best.h5")), "2");
  EXPECT_EQ(ReadFile(dir_ / "blobs/one/weights"), "1");
}

// rename(2) between two names of one file does nothing.
TEST_F(ProjectionTest, PlacingTwiceLeavesNoTemporary) {
  EXPECT_OK(Place(Name("best.h5", "one")));
  EXPECT_OK(Place(Name("best.h5", "one")));
  EXPECT_THAT(FilesBelow(dir_ / "runs"), ElementsAre("r/best.h5"));
  struct stat info {};
  ASSERT_EQ(stat(Run("best.h5").c_str(), &info), 0);
  EXPECT_EQ(info.st_nlink, 2u);
}

TEST_F(ProjectionTest, CopiesAreTheirOwnersToChange) {
  for (const auto projection : {Options::PROJECTION_COPY, Options::PROJECTION_REFLINK}) {
    SCOPED_TRACE(projection);
    const ProjectedName name = Name("copy.h5", "one", projection);
    EXPECT_OK(Place(name));
    EXPECT_EQ(ReadFile(Run("copy.h5")), "1");
    EXPECT_EQ(fs::status(Run("copy.h5")).permissions(), fs::perms(0640));
    EXPECT_NE(InodeOf(Run("copy.h5")), InodeOf(dir_ / "blobs/one/weights"));
    WriteFile(Run("copy.h5"), "changed");
    EXPECT_EQ(ReadFile(dir_ / "blobs/one/weights"), "1");
    EXPECT_TRUE(IsInPlace(*root_, name).value_or(false));
    EXPECT_OK(Place(name));
    EXPECT_EQ(ReadFile(Run("copy.h5")), "1");
  }
}

TEST_F(ProjectionTest, ACopyIsSyncedBeforeItHasItsName) {
  EXPECT_OK(Place(Name("copy.h5", "one", Options::PROJECTION_COPY)));
  const auto calls = file_system_.calls();
  const auto at = [&](const char* call) { return std::find(calls.begin(), calls.end(), call); };
  ASSERT_NE(at("sync runs/r/.ckptd-7"), calls.end());
  EXPECT_LT(at("sync runs/r/.ckptd-7"), at("rename runs/r/copy.h5"));
}

TEST_F(ProjectionTest, CopiesWhereBytesCannotBeShared) {
  file_system_.set_plan(FailOperation("clone", "", EOPNOTSUPP));
  EXPECT_OK(Place(Name("copy.h5", "one", Options::PROJECTION_REFLINK)));
  EXPECT_EQ(ReadFile(Run("copy.h5")), "1");
}

TEST_F(ProjectionTest, CopiesMoreThanOnePiece) {
  const std::string bytes = Bytes((3 << 20) + 5);
  WriteFile(dir_ / "blobs/one/weights", bytes);
  EXPECT_OK(Place(Name("copy.h5", "one", Options::PROJECTION_COPY)));
  EXPECT_TRUE(ReadFile(Run("copy.h5")) == bytes);
}

TEST_F(ProjectionTest, SeveralPartsBecomeAFolder) {
  EXPECT_OK(Place(Name("model", "parts")));
  EXPECT_THAT(FilesBelow(Run()), ElementsAre("model/optimizer", "model/weights"));
  EXPECT_EQ(InodeOf(Run("model/weights")), InodeOf(dir_ / "blobs/parts/weights"));
  EXPECT_TRUE(IsInPlace(*root_, Name("model", "parts")).value_or(false));
}

TEST_F(ProjectionTest, FoldersAndFilesReplaceEachOther) {
  for (const char* blob : {"parts", "ranks", "one", "parts", "two"}) {
    EXPECT_OK(Place(Name("model", blob))) << blob;
    EXPECT_TRUE(IsInPlace(*root_, Name("model", blob)).value_or(false)) << blob;
  }
  EXPECT_EQ(ReadFile(Run("model")), "2");
  EXPECT_THAT(FilesBelow(Run()), ElementsAre("model"));
}

TEST_F(ProjectionTest, ReplacesFoldersWhereTheFileSystemCannotExchange) {
  file_system_.set_plan(FailOperation("exchange", "", EINVAL));
  for (const char* blob : {"parts", "ranks", "one"}) EXPECT_OK(Place(Name("model", blob))) << blob;
  EXPECT_EQ(ReadFile(Run("model")), "1");
  EXPECT_THAT(FilesBelow(Run()), ElementsAre("model"));
}

TEST_F(ProjectionTest, PathsMustBePlain) {
  for (const std::string path : {"", "/etc/x", "../x", "a/../x", "a//b", "./a", "a/", "a/.."}) {
    EXPECT_THAT(Check(path), HasReason("PATH_ESCAPES")) << path;
    EXPECT_THAT(Place(Name(path, "one")), HasReason("PATH_ESCAPES")) << path;
  }
  EXPECT_THAT(Check(std::string("a\0b", 3)), HasReason("PATH_ESCAPES"));
  for (const char* path : {".ckptd-1", "a/.ckptd-x/b", "a/.ckptd-"}) {
    EXPECT_THAT(Check(path), HasReason("PATH_BLOCKED")) << path;
  }
  for (const char* path : {"best.h5", "a/b/c", "..a", "ckptd-1", "a b/ü"}) {
    EXPECT_OK(Check(path)) << path;
  }
}

TEST_F(ProjectionTest, SymbolicLinksAreNeverFollowed) {
  WriteFile(dir_ / "outside/best.h5", "theirs");
  fs::create_directories(Run());
  fs::create_directory_symlink(dir_ / "outside", Run("folder"));
  fs::create_symlink(dir_ / "outside/best.h5", Run("file.h5"));
  fs::create_symlink("nowhere", Run("dangling"));
  for (const char* path :
       {"folder/best.h5", "folder/new/best.h5", "folder", "file.h5", "dangling"}) {
    EXPECT_THAT(Check(path), HasReason("PATH_BLOCKED")) << path;
    EXPECT_THAT(Place(Name(path, "one")), HasReason("PATH_BLOCKED")) << path;
  }
  EXPECT_EQ(ReadFile(dir_ / "outside/best.h5"), "theirs");
  EXPECT_THAT(FilesBelow(dir_ / "outside"), ElementsAre("best.h5"));
}

TEST_F(ProjectionTest, ARunFolderThatIsALinkIsNeverFollowed) {
  fs::create_directory(dir_ / "outside");
  fs::create_directory_symlink(dir_ / "outside", Run());
  EXPECT_THAT(Place(Name("best.h5", "one")), HasReason("PATH_BLOCKED"));
  EXPECT_TRUE(fs::is_empty(dir_ / "outside"));
}

TEST_F(ProjectionTest, FoldersOfUsersAreInTheWay) {
  fs::create_directories(Run("empty"));
  EXPECT_THAT(Check("empty"), HasReason("PATH_BLOCKED"));
  WriteFile(Run("notes/readme.txt"), "mine");
  EXPECT_THAT(Check("notes"), HasReason("PATH_BLOCKED"));
  EXPECT_THAT(Place(Name("notes", "one")), HasReason("PATH_BLOCKED"));
  EXPECT_EQ(ReadFile(Run("notes/readme.txt")), "mine");
  EXPECT_OK(Place(Name("model", "parts")));
  EXPECT_OK(Check("model"));
  WriteFile(Run("model/notes.txt"), "mine");
  EXPECT_THAT(Check("model"), HasReason("PATH_BLOCKED"));
  EXPECT_THAT(Check("model"), Says("notes.txt"));
}

TEST_F(ProjectionTest, FilesAreInTheWayOfFolders) {
  WriteFile(Run("best.h5"), "x");
  EXPECT_THAT(Check("best.h5/inside"), HasReason("PATH_BLOCKED"));
  EXPECT_OK(Check("best.h5"));  // as the reference, a file of that name is replaced
}

TEST_F(ProjectionTest, OtherCheckpointsAboveAndBelowAreInTheWay) {
  EXPECT_OK(Place(Name("a/weights", "one")));
  owned_ = {"a/weights"};
  EXPECT_THAT(Check("a"), HasReason("PATH_BLOCKED"));
  owned_ = {"model"};
  EXPECT_OK(Place(Name("model", "parts")));
  EXPECT_THAT(Check("model/best.h5"), HasReason("PATH_BLOCKED"));
  EXPECT_THAT(Check("model/deep/best.h5"), HasReason("PATH_BLOCKED"));
  EXPECT_OK(Check("model"));
  EXPECT_OK(Check("models/best.h5"));
}

TEST_F(ProjectionTest, CheckingOnlyLooks) {
  EXPECT_OK(Check("a/b/best.h5"));
  EXPECT_FALSE(fs::exists(Run()));
}

TEST_F(ProjectionTest, RemovesTheNameAndEmptyFolders) {
  EXPECT_OK(Place(Name("a/b/one.h5", "one")));
  EXPECT_OK(Place(Name("a/two.h5", "two")));
  EXPECT_OK(RemoveName(*root_, Name("a/b/one.h5", "one")));
  EXPECT_FALSE(fs::exists(Run("a/b")));
  EXPECT_EQ(ReadFile(Run("a/two.h5")), "2");
  EXPECT_OK(RemoveName(*root_, Name("a/b/one.h5", "one")));  // again
  EXPECT_OK(RemoveName(*root_, Name("a/two.h5", "two")));
  EXPECT_TRUE(fs::is_empty(Run()));
  EXPECT_OK(RemoveName(*root_, Name("never/was", "two")));
}

TEST_F(ProjectionTest, RemovesFoldersOfPartsButNotWhatUsersPutThere) {
  EXPECT_OK(Place(Name("model", "parts")));
  WriteFile(Run("model/notes.txt"), "mine");
  EXPECT_OK(RemoveName(*root_, Name("model", "parts")));
  EXPECT_THAT(FilesBelow(Run()), ElementsAre("model/notes.txt"));
  EXPECT_OK(Place(Name("copies", "parts", Options::PROJECTION_COPY)));
  EXPECT_OK(RemoveName(*root_, Name("copies", "parts", Options::PROJECTION_COPY)));
  EXPECT_FALSE(fs::exists(Run("copies")));
}

// Nobody sees some of the parts, whatever stops the removal.
TEST_F(ProjectionTest, RemovesAFolderOfPartsInOneStep) {
  EXPECT_OK(Place(Name("model", "parts")));
  for (int64_t call = 1;; ++call) {
    file_system_.Reset();
    file_system_.set_plan(FailFrom(call, EIO));
    const absl::Status removed = RemoveName(*root_, Name("model", "parts"));
    file_system_.set_plan(nullptr);
    const auto left =
        fs::exists(Run("model")) ? FilesBelow(Run("model")) : decltype(FilesBelow(""))();
    EXPECT_THAT(left, AnyOf(ElementsAre("optimizer", "weights"), ElementsAre())) << call;
    if (removed.ok()) break;
  }
  EXPECT_FALSE(fs::exists(Run("model")));
}

TEST_F(ProjectionTest, LeavesNamesThatLeadElsewhere) {
  WriteFile(Run("best.h5"), "mine");
  EXPECT_OK(RemoveName(*root_, Name("best.h5", "one")));
  EXPECT_EQ(ReadFile(Run("best.h5")), "mine");
  fs::create_directory_symlink(dir_ / "blobs/one", Run("link"));
  EXPECT_OK(RemoveName(*root_, Name("link/weights", "one")));
  EXPECT_EQ(ReadFile(dir_ / "blobs/one/weights"), "1");
  EXPECT_FALSE(IsInPlace(*root_, Name("link/weights", "one")).value_or(true));
  EXPECT_FALSE(IsInPlace(*root_, Name("best.h5/x", "one")).value_or(true));
}

// At each moment users find the old checkpoint or the new one, whole; and placing again succeeds.
TEST_F(ProjectionTest, IsOldOrNewWhateverFails) {
  const struct {
    const char* before;
    const char* after;
    Options::Projection projection;
  } cases[] = {{"one", "two", Options::PROJECTION_LINK},
               {"one", "two", Options::PROJECTION_COPY},
               {"parts", "ranks", Options::PROJECTION_LINK},
               {"parts", "one", Options::PROJECTION_LINK},
               {"one", "parts", Options::PROJECTION_COPY}};
  const auto content = [this] {
    const std::string path = Run("model");
    if (!fs::is_directory(path)) return ReadFile(path);
    std::string all;
    for (const std::string& file : FilesBelow(path))
      all += file + '=' + ReadFile(path + '/' + file) + ' ';
    return all;
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(std::string(c.before) + " -> " + c.after);
    for (int64_t k = 1;; ++k) {
      fs::remove_all(dir_ / "runs/r");
      ASSERT_OK(Place(Name("model", c.after, c.projection)));
      const std::string after = content();
      fs::remove_all(dir_ / "runs/r");
      ASSERT_OK(Place(Name("model", c.before)));
      const std::string before = content();
      file_system_.Reset();
      file_system_.set_plan(FailFrom(k, EIO));
      const absl::Status status = Place(Name("model", c.after, c.projection));
      const auto calls = static_cast<int64_t>(file_system_.calls().size());
      file_system_.set_plan(nullptr);
      ASSERT_THAT(content(), testing::AnyOf(before, after)) << k;
      if (calls < k) {
        EXPECT_OK(status);
        break;
      }
      ASSERT_OK(Place(Name("model", c.after, c.projection))) << k;
      ASSERT_EQ(content(), after) << k;
      ASSERT_EQ(std::distance(fs::directory_iterator(Run()), {}), 1) << k;
    }
  }
}

}  // namespace
}  // namespace ckpt::storage
