#include "storage/recovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "storage/blob/layout.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/store_fixture.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

class RecoveryTest : public StoreFixture {
 protected:
  void SetUp() override { Open(); }

  const v1::RecoveryReport& Report() const { return store_->recovery(); }
};

TEST_F(RecoveryTest, HasNothingToDoAfterAnOrderlyEnd) {
  ASSERT_OK(Commit(MakeSave("r", 1, {"a", "b/c"}), "one"));
  ASSERT_OK(Commit(MakeSave("r", 2, {"d"}, v1::StorageOptions::PROJECTION_COPY), "two"));
  ASSERT_OK(Upload({.run = "r", .save = "", .stage_id = "s"}, "abc"));
  Reopen();
  EXPECT_EQ(Report().completed_saves(), 0);
  EXPECT_EQ(Report().open_saves(), 0);
  EXPECT_EQ(Report().projected_names(), 0);
  EXPECT_EQ(Report().finished_evictions(), 0);
  EXPECT_EQ(Report().removed_orphans(), 0);
  EXPECT_TRUE(Report().has_took());
  EXPECT_THAT(store_->unfinished_runs(), IsEmpty());
  EXPECT_THAT(SaveFolders("staging"), ElementsAre("r@stage.s"));
}

// The crash points of a save that takes its name over from an older one. A save whose last part had
// come, or whose stage had been adopted, once waited for bytes that nobody was going to send.
TEST_F(RecoveryTest, GoesOnFromEveryStep) {
  const struct {
    Step last;
    const char* seen;
    int64_t completed, open, projected, evicted;
  } cases[] = {{Step::kDecided, "one", 0, 1, 0, 0},   {Step::kReceived, "one", 1, 0, 0, 0},
               {Step::kPublished, "one", 1, 0, 0, 0}, {Step::kApplied, "two", 0, 0, 1, 1},
               {Step::kProjected, "two", 0, 0, 0, 1}, {Step::kEvicted, "two", 0, 0, 0, 0}};
  for (const auto projection :
       {v1::StorageOptions::PROJECTION_LINK, v1::StorageOptions::PROJECTION_COPY}) {
    for (const auto& c : cases) {
      SCOPED_TRACE(static_cast<int>(c.last));
      StartAnew();
      ASSERT_OK(Commit(MakeSave("r", 1, {"best.h5"}, projection), "one"));
      ASSERT_OK(Drive(MakeSave("r", 2, {"best.h5"}, projection), "two", c.last));
      Reopen();
      EXPECT_EQ(Seen("r", "best.h5"), c.seen);
      EXPECT_EQ(Report().completed_saves(), c.completed);
      EXPECT_EQ(Report().open_saves(), c.open);
      EXPECT_EQ(Report().projected_names(), c.projected);
      EXPECT_EQ(Report().finished_evictions(), c.evicted);
      EXPECT_EQ(Report().removed_orphans(), 0);

      // Whatever there was, the save can be brought to its end.
      if (c.last < Step::kApplied) {
        const auto snapshot = store_->LoadRun("r");
        ASSERT_OK(snapshot);
        ASSERT_EQ(snapshot->open_saves.size(), 1u);
        EXPECT_EQ(snapshot->published.size(), c.last == Step::kDecided ? 0u : 1u);
        ASSERT_OK(Commit(snapshot->open_saves[0], "two"));
      }
      EXPECT_EQ(Seen("r", "best.h5"), "two");
      EXPECT_EQ(Read("r", "2"), "two");
      EXPECT_THAT(Ids("r"), ElementsAre("2"));
      EXPECT_THAT(SaveFolders("blobs"), ElementsAre("r@2"));
      EXPECT_THAT(SaveFolders("staging"), IsEmpty());
      EXPECT_THAT(FilesBelow(data_ + "/runs"), ElementsAre("r/best.h5"));
    }
  }
}

TEST_F(RecoveryTest, NamesTheRunsThatHaveToGoOn) {
  ASSERT_OK(CreateRun("b"));
  ASSERT_OK(CreateRun("a"));
  ASSERT_OK(Drive(MakeSave("b", 1, {"x"}), "1", Step::kPublished));
  ASSERT_OK(Drive(MakeSave("b", 2, {"y"}), "2", Step::kPublished));
  ASSERT_OK(Drive(MakeSave("a", 1, {"x"}), "3", Step::kPublished));
  ASSERT_OK(Drive(MakeSave("r", 1, {"x"}), "", Step::kDecided));
  ASSERT_OK(Upload({.run = "r", .save = "1", .stage_id = "", .part_count = 2}, "4"));
  Reopen();
  EXPECT_THAT(store_->unfinished_runs(), ElementsAre("a", "b"));
  EXPECT_EQ(Report().completed_saves(), 3);
  EXPECT_EQ(Report().open_saves(), 1);
}

TEST_F(RecoveryTest, KeepsTheBytesOfPendingSaves) {
  ASSERT_OK(Drive(MakeSave("r", 1, {"x"}), "", Step::kDecided));
  ASSERT_OK(Upload({.run = "r", .save = "1", .stage_id = "", .part_count = 2}, "abc"));
  Reopen();
  const auto writer = store_->OpenPart({.run = "r", .save = "1", .stage_id = ""});
  ASSERT_OK(writer);
  EXPECT_TRUE((*writer)->finished().has_value());
}

TEST_F(RecoveryTest, RemovesWhatNothingRefersTo) {
  ASSERT_OK(Commit(MakeSave("r", 1, {"best.h5"}), "one"));
  // A save that failed after it was published, and one whose bytes were not discarded any more.
  ASSERT_OK(Drive(MakeSave("r", 2, {"x"}), "two", Step::kPublished));
  ASSERT_OK(Drive(MakeSave("r", 3, {"y"}), "three", Step::kReceived));
  RunUpdate failed;
  failed.run = "r";
  failed.closed_saves = {"2", "3"};
  ASSERT_OK(store_->Apply({&failed, 1}));
  WriteFile(data_ + "/staging/gone@1/weights", "x");
  WriteFile(data_ + "/staging/gone@stage.s/weights", "x");
  WriteFile(data_ + "/runs/r/.ckptd-9", "x");
  fs::create_directory(data_ + "/staging/r@stage.empty");
  // Not ours to remove.
  WriteFile(data_ + "/staging/README", "x");
  WriteFile(data_ + "/blobs/lost+found/x", "x");
  WriteFile(data_ + "/runs/r/notes.txt", "x");
  Reopen();
  EXPECT_EQ(Report().removed_orphans(), 6);
  EXPECT_THAT(SaveFolders("blobs"), ElementsAre("r@1"));
  EXPECT_THAT(SaveFolders("staging"), IsEmpty());
  EXPECT_THAT(FilesBelow(data_ + "/runs"), ElementsAre("r/best.h5", "r/notes.txt"));
  EXPECT_TRUE(fs::exists(data_ + "/staging/README"));
  EXPECT_TRUE(fs::exists(data_ + "/blobs/lost+found/x"));
  EXPECT_EQ(Read("r", "1"), "one");
}

TEST_F(RecoveryTest, RemovesHalfWrittenRecordsOfPendingSaves) {
  ASSERT_OK(Drive(MakeSave("r", 1, {"x"}), "", Step::kDecided));
  ASSERT_OK(Upload({.run = "r", .save = "1", .stage_id = "", .part_count = 2}, "abc"));
  WriteFile(data_ + "/staging/r@1/..weights.session.tmp", "half");
  WriteFile(data_ + "/staging/r@1/.manifest.json.tmp", "half");
  Reopen();
  EXPECT_EQ(Report().removed_orphans(), 2);
  EXPECT_THAT(FilesBelow(data_ + "/staging/r@1"), ElementsAre(".weights.session", "weights"));
}

TEST_F(RecoveryTest, StagesGoWhenTheyAreOld) {
  ASSERT_OK(Upload({.run = "r", .save = "", .stage_id = "old"}, "abc"));
  ASSERT_OK(Upload({.run = "r", .save = "", .stage_id = "new"}, "abc"));
  clock_.now = SystemClock().UnixNanos();
  const std::string old = data_ + "/staging/r@stage.old";
  for (const auto& entry : fs::directory_iterator(old)) {
    fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - std::chrono::hours(25));
  }
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(25));
  Reopen();
  EXPECT_THAT(SaveFolders("staging"), ElementsAre("r@stage.new"));
  EXPECT_EQ(Report().removed_orphans(), 1);
}

TEST_F(RecoveryTest, ABlobWithADamagedManifestIsNoPublishedSave) {
  ASSERT_OK(Drive(MakeSave("r", 1, {"x"}), "abc", Step::kPublished));
  WriteFile(data_ + '/' + BlobPath("r@1") + "/manifest.json", "{\"formatVersion\":1");
  Reopen();
  EXPECT_EQ(Report().completed_saves(), 0);
  EXPECT_EQ(Report().open_saves(), 1);
  EXPECT_EQ(Report().removed_orphans(), 1);
  ASSERT_OK(Commit(MakeSave("r", 1, {"x"}), "abc"));
  EXPECT_EQ(Read("r", "1"), "abc");
}

TEST_F(RecoveryTest, PutsNamesInPlaceAgain) {
  ASSERT_OK(Commit(MakeSave("r", 1, {"missing.h5", "a/deep/name.h5"}), "one"));
  ASSERT_OK(Commit(MakeSave("r", 2, {"elsewhere.h5"}), "two"));
  ASSERT_OK(Commit(MakeSave("r", 3, {"copy.h5"}, v1::StorageOptions::PROJECTION_COPY), "three"));
  fs::remove(data_ + "/runs/r/missing.h5");
  fs::remove_all(data_ + "/runs/r/a");
  fs::remove(data_ + "/runs/r/elsewhere.h5");
  WriteFile(data_ + "/runs/r/elsewhere.h5", "theirs");
  WriteFile(data_ + "/runs/r/copy.h5", "edited");
  Reopen();
  EXPECT_EQ(Seen("r", "missing.h5"), "one");
  EXPECT_EQ(Seen("r", "a/deep/name.h5"), "one");
  EXPECT_EQ(Seen("r", "elsewhere.h5"), "two");
  EXPECT_EQ(Seen("r", "copy.h5"), "edited");  // its owner's to change
}

TEST_F(RecoveryTest, StartsAlthoughANameCannotBePutInPlace) {
  ASSERT_OK(Commit(MakeSave("r", 1, {"a/best.h5"}), "one"));
  fs::remove_all(data_ + "/runs/r/a");
  fs::create_directory_symlink(dir_.path(), data_ + "/runs/r/a");
  Reopen();
  EXPECT_EQ(Report().projected_names(), 0);
  EXPECT_THAT(store_->GetCheckpoint("r", "1")->placements(0).projection_error(),
              testing::HasSubstr("symbolic link"));
  EXPECT_EQ(Read("r", "1"), "one");
}

TEST_F(RecoveryTest, FinishesTheDeletionOfARun) {
  ASSERT_OK(Commit(MakeSave("r", 1, {"a/best.h5"}), "one"));
  ASSERT_OK(Commit(MakeSave("r", 2, {"b"}), "two"));
  ASSERT_OK(store_->DeleteRun("r"));
  store_.reset();
  auto store = TryOpen();
  ASSERT_OK(store);
  EXPECT_EQ((*store)->recovery().finished_evictions(), 2);
  EXPECT_THAT(SaveFolders("blobs"), IsEmpty());
  EXPECT_FALSE(fs::exists(data_ + "/runs/r"));
}

}  // namespace
}  // namespace ckpt::storage
