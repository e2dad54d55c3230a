#include "storage/backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/store_fixture.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

class BackupTest : public StoreFixture {
 protected:
  void SetUp() override {
    Open();
    ASSERT_OK(Commit(MakeSave("r", 1, {"best"}), "one"));
    ASSERT_OK(Commit(MakeSave("r", 2, {"b"}, v1::StorageOptions::PROJECTION_COPY), "two"));
  }

  absl::Status Finish(Backup& backup) {
    for (;;) {
      absl::Status status = backup.Step(&last_);
      if (!status.ok() || last_.done()) return status;
    }
  }
  absl::Status BackUp() {
    auto backup = store_->BackUp(copy_);
    if (!backup.ok()) return backup.status();
    return Finish(**backup);
  }
  // The store goes on in the copy.
  void OpenCopy() {
    store_.reset();
    fs::remove_all(data_);
    fs::rename(copy_, data_);
    Open();
  }

  const std::string copy_ = dir_ / "copy";
  v1::BackupResponse last_;
};

TEST_F(BackupTest, TheCopyIsADataFolder) {
  ASSERT_OK(BackUp());
  EXPECT_EQ(last_.checkpoints(), 2);
  EXPECT_EQ(last_.total_checkpoints(), 2);
  EXPECT_EQ(last_.bytes(), last_.total_bytes());
  EXPECT_FALSE(fs::exists(data_ + "/backup.staging"));
  OpenCopy();
  EXPECT_THAT(Ids("r"), ElementsAre("1", "2"));
  EXPECT_EQ(Read("r", "1"), "one");
  EXPECT_EQ(Seen("r", "best"), "one");
  EXPECT_EQ(Seen("r", "b"), "two");
  EXPECT_EQ(store_->recovery().removed_orphans(), 0);
}

TEST_F(BackupTest, AnEmptyStoreHasOneToo) {
  StartAnew();
  ASSERT_OK(BackUp());
  OpenCopy();
  EXPECT_THAT(Ids("r"), IsEmpty());
}

// What was committed when it began is in it, whatever is evicted and saved before it is done.
TEST_F(BackupTest, HoldsTheMomentOfItsBeginning) {
  auto backup = store_->BackUp(copy_);
  ASSERT_OK(backup);
  ASSERT_OK(Commit(MakeSave("r", 3, {"best"}), "three"));  // evicts 1
  EXPECT_THAT(SaveFolders("blobs"), ElementsAre("r@2", "r@3"));
  ASSERT_OK(Finish(**backup));
  *backup = nullptr;
  OpenCopy();
  EXPECT_THAT(Ids("r"), ElementsAre("1", "2"));
  EXPECT_EQ(Read("r", "1"), "one");
  EXPECT_EQ(Seen("r", "best"), "one");
}

TEST_F(BackupTest, RefusesFoldersThatWillNotDo) {
  WriteFile(dir_ / "full/file", "x");
  fs::create_directory_symlink(data_, dir_ / "link");
  for (const std::string& path :
       {std::string(""), std::string("relative"), data_, data_ + "/inside", data_ + "/../data/x",
        dir_ / "link/x", dir_.path(), dir_ / "full", dir_ / "full/file", dir_ / "full/file/x",
        dir_ / std::string(300, 'n')}) {
    EXPECT_THAT(store_->BackUp(path), HasReason("FIELD_INVALID")) << path;
  }
  EXPECT_FALSE(fs::exists(data_ + "/inside"));
  EXPECT_FALSE(fs::exists(data_ + "/backup.staging"));
  fs::create_directory(copy_);
  EXPECT_OK(BackUp()) << "an empty folder will do";
}

TEST_F(BackupTest, OneAtATime) {
  auto first = store_->BackUp(copy_);
  ASSERT_OK(first);
  EXPECT_THAT(store_->BackUp(dir_ / "second"), HasReason("LIMIT_EXCEEDED"));
  *first = nullptr;
  EXPECT_OK(store_->BackUp(dir_ / "second"));
}

TEST_F(BackupTest, AnUnfinishedOneIsNoDataFolder) {
  {
    auto backup = store_->BackUp(copy_);
    ASSERT_OK(backup);
    ASSERT_OK((*backup)->Step(&last_));
  }
  EXPECT_FALSE(fs::exists(data_ + "/backup.staging"));
  store_.reset();
  EXPECT_THAT(CheckpointStore::Open({.data_dir = copy_, .on_index_error = {}}),
              HasReason("FIELD_INVALID"));
  WriteFile(data_ + "/backup.staging/index/x", "left by a kill");
  Open();
  EXPECT_FALSE(fs::exists(data_ + "/backup.staging"));
}

// On another file system links cannot be made, and bytes are copied.
TEST_F(BackupTest, CopiesWhereItCannotLink) {
  file_system_.set_plan([&](int64_t, std::string_view operation, std::string_view path) {
    return operation == "link" && path.starts_with(copy_.substr(1)) ? EXDEV : 0;
  });
  ASSERT_OK(BackUp());
  file_system_.set_plan(nullptr);
  for (const auto& entry : fs::recursive_directory_iterator(copy_)) {
    if (!entry.is_regular_file()) continue;
    EXPECT_EQ(fs::hard_link_count(entry.path()), 1u) << entry.path();
  }
  OpenCopy();
  EXPECT_EQ(Read("r", "1"), "one");
  EXPECT_EQ(Seen("r", "best"), "one");
}

// With a fault at each call in turn: the store is as it was, and the copy is whole or is none.
TEST_F(BackupTest, IsWholeOrNone) {
  for (int64_t k = 1;; ++k) {
    SCOPED_TRACE(k);
    file_system_.Reset();
    file_system_.set_plan(FailFrom(k, EIO));
    const absl::Status status = BackUp();
    const bool reached = static_cast<int64_t>(file_system_.calls().size()) >= k;
    file_system_.set_plan(nullptr);
    if (!fs::exists(copy_ + "/VERSION") && fs::exists(copy_ + "/blobs")) {
      EXPECT_THAT(CheckpointStore::Open({.data_dir = copy_, .on_index_error = {}}),
                  HasReason("FIELD_INVALID"));
    } else if (fs::exists(copy_ + "/VERSION")) {
      auto copy = CheckpointStore::Open({.data_dir = copy_, .on_index_error = {}});
      ASSERT_OK(copy);
      EXPECT_OK((*copy)->GetCheckpoint("r", "1"));
      EXPECT_OK((*copy)->GetCheckpoint("r", "2"));
    }
    fs::remove_all(copy_);
    EXPECT_EQ(Read("r", "1"), "one");
    if (HasFailure()) return;
    if (!reached) {
      EXPECT_OK(status);
      EXPECT_GT(k, 30);
      break;
    }
  }
}

}  // namespace
}  // namespace ckpt::storage
