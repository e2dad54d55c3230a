#include "storage/checkpoint_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
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

class CheckpointStoreTest : public StoreFixture {
 protected:
  void SetUp() override { Open(); }
};

TEST_F(CheckpointStoreTest, KeepsACheckpoint) {
  const std::string bytes = Bytes(5'000'000);
  ASSERT_OK(Commit(MakeSave("r", 1, {"best.h5"}), bytes));
  EXPECT_TRUE(Seen("r", "best.h5") == bytes);
  EXPECT_TRUE(Read("r", "1") == bytes);
  const auto latest = store_->GetLatest("r");
  ASSERT_OK(latest);
  EXPECT_EQ(latest->size(), 5'000'000);
  EXPECT_EQ(latest->placements(0).projection_error(), "");
  Reopen();
  EXPECT_TRUE(Read("r", "1") == bytes);
  EXPECT_EQ(store_->data_dir(), data_);
}

TEST_F(CheckpointStoreTest, ANewerCheckpointOfTheSameNameReplacesTheOlder) {
  ASSERT_OK(Commit(MakeSave("r", 1, {"best.h5"}), "one"));
  ASSERT_OK(Commit(MakeSave("r", 2, {"best.h5"}), "two"));
  EXPECT_EQ(Seen("r", "best.h5"), "two");
  EXPECT_THAT(Ids("r"), ElementsAre("2"));
  EXPECT_THAT(SaveFolders("blobs"), ElementsAre("r@2"));
  EXPECT_THAT(store_->OpenRead("r", "1", 0, ""), HasReason("CHECKPOINT_NOT_FOUND"));
}

TEST_F(CheckpointStoreTest, ACheckpointLivesAsLongAsItHasAName) {
  ASSERT_OK(Commit(MakeSave("r", 1, {"best.h5", "epoch-1.h5"}), "one"));
  ASSERT_OK(Commit(MakeSave("r", 2, {"best.h5", "epoch-2.h5"}), "two"));
  EXPECT_THAT(Ids("r"), ElementsAre("1", "2"));
  EXPECT_EQ(Seen("r", "best.h5"), "two");
  EXPECT_EQ(Seen("r", "epoch-1.h5"), "one");
  EXPECT_EQ(Seen("r", "epoch-2.h5"), "two");
}

TEST_F(CheckpointStoreTest, CountsWhatItHolds) {
  ASSERT_OK(Commit(MakeSave("r", 1, {"best.h5"}), "four"));
  ASSERT_OK(Drive(MakeSave("r", 2, {"best.h5"}), "", Step::kDecided));
  ASSERT_OK(Upload({.run = "r", .save = "2", .stage_id = "", .part_count = 2}, "sixsix"));
  ASSERT_OK(Upload({.run = "r", .save = "", .stage_id = "s"}, "abc"));
  const auto stats = store_->Stats();
  ASSERT_OK(stats);
  EXPECT_EQ(stats->runs, 1);
  EXPECT_EQ(stats->checkpoints, 1);
  EXPECT_EQ(stats->checkpoint_bytes, 4);
  EXPECT_EQ(stats->open_saves, 1);
  EXPECT_EQ(stats->staged_bytes, 9);
  EXPECT_GT(stats->free_bytes, 0);
  Reopen();
  EXPECT_EQ(store_->Stats()->staged_bytes, 9);
}

TEST_F(CheckpointStoreTest, CommitsAStage) {
  ASSERT_OK(Upload({.run = "r", .save = "", .stage_id = "s"}, "abc"));
  EXPECT_TRUE(store_->CompleteParts("r", "", "s", 1)->has_value());
  ASSERT_OK(Drive(MakeSave("r", 1, {"best.h5"}), "", Step::kDecided));
  ASSERT_OK(store_->AdoptStage("r", "s", "1"));
  const auto parts = store_->CompleteParts("r", "1", "", 1);
  ASSERT_OK(parts);
  ASSERT_TRUE(parts->has_value());
  EXPECT_TRUE((**parts)[0].block_digests().empty());
  ASSERT_OK(Commit(MakeSave("r", 1, {"best.h5"}), "not used"));
  EXPECT_EQ(Seen("r", "best.h5"), "abc");
}

TEST_F(CheckpointStoreTest, DiscardsSavesAndStages) {
  ASSERT_OK(Upload({.run = "r", .save = "", .stage_id = "s"}, "abc"));
  ASSERT_OK(Drive(MakeSave("r", 1, {"best.h5"}), "abc", Step::kReceived));
  EXPECT_OK(store_->Discard("r", "", "s"));
  EXPECT_OK(store_->Discard("r", "1", ""));
  EXPECT_OK(store_->Discard("r", "1", ""));
  EXPECT_THAT(SaveFolders("staging"), IsEmpty());
  EXPECT_EQ(store_->Stats()->staged_bytes, 0);
  EXPECT_THAT(store_->Publish(MakeSave("r", 1, {"best.h5"})), HasReason("SAVE_NOT_OPEN"));
}

TEST_F(CheckpointStoreTest, TellsTheOwnerOfARunWhatIsPublished) {
  ASSERT_OK(Drive(MakeSave("r", 1, {"a"}), "abc", Step::kPublished));
  ASSERT_OK(Drive(MakeSave("r", 2, {"b"}), "abc", Step::kReceived));
  const auto snapshot = store_->LoadRun("r");
  ASSERT_OK(snapshot);
  EXPECT_EQ(snapshot->open_saves.size(), 2u);
  ASSERT_EQ(snapshot->published.size(), 1u);
  EXPECT_EQ(snapshot->published[0].name(), "runs/r/checkpoints/1");
  EXPECT_EQ(snapshot->published[0].state(), v1::Checkpoint::STATE_COMMITTED);
  EXPECT_EQ(snapshot->published[0].parts_size(), 1);
  EXPECT_TRUE(snapshot->published[0].parts(0).block_digests().empty());
}

TEST_F(CheckpointStoreTest, DeletesARunWithAllItsFiles) {
  ASSERT_OK(CreateRun("other"));
  ASSERT_OK(Commit(MakeSave("other", 1, {"best.h5"}), "theirs"));
  ASSERT_OK(Commit(MakeSave("r", 1, {"a/best.h5"}), "one"));
  ASSERT_OK(Drive(MakeSave("r", 2, {"b"}), "two", Step::kReceived));
  ASSERT_OK(Upload({.run = "r", .save = "", .stage_id = "s"}, "abc"));
  const auto deleted = store_->DeleteRun("r");
  ASSERT_OK(deleted);
  for (const v1::Eviction& eviction : deleted->evictions) EXPECT_OK(store_->Evict(eviction));
  EXPECT_OK(store_->RemoveRunFolder("r"));
  EXPECT_THAT(store_->GetRun("r"), HasReason("RUN_NOT_FOUND"));
  EXPECT_THAT(SaveFolders("staging"), IsEmpty());
  EXPECT_THAT(SaveFolders("blobs"), ElementsAre("other@1"));
  EXPECT_FALSE(fs::exists(data_ + "/runs/r"));
  EXPECT_EQ(store_->Stats()->staged_bytes, 0);
  // Its ids begin again.
  ASSERT_OK(CreateRun("r"));
  ASSERT_OK(Commit(MakeSave("r", 1, {"best.h5"}), "anew"));
  EXPECT_EQ(Read("r", "1"), "anew");
}

TEST_F(CheckpointStoreTest, EvictingAgainIsHarmless) {
  ASSERT_OK(Commit(MakeSave("r", 1, {"best.h5"}), "one"));
  RunUpdate update;
  update.run = "r";
  update.deleted = {"1"};
  const auto applied = store_->Apply({&update, 1});
  ASSERT_OK(applied);
  ASSERT_EQ(applied->evictions.size(), 1u);
  EXPECT_OK(store_->Evict(applied->evictions[0]));
  EXPECT_OK(store_->Evict(applied->evictions[0]));
  EXPECT_EQ(Seen("r", "best.h5"), "(missing)");
  EXPECT_THAT(SaveFolders("blobs"), IsEmpty());
}

TEST_F(CheckpointStoreTest, ALateEvictionLeavesTheNextOwnersFile) {
  ASSERT_OK(Commit(MakeSave("r", 1, {"best.h5"}), "one"));
  RunUpdate update;
  update.run = "r";
  update.deleted = {"1"};
  const auto applied = store_->Apply({&update, 1});
  ASSERT_OK(applied);
  ASSERT_OK(Commit(MakeSave("r", 2, {"best.h5"}), "two"));
  EXPECT_OK(store_->Evict(applied->evictions[0]));
  EXPECT_EQ(Seen("r", "best.h5"), "two");
}

TEST_F(CheckpointStoreTest, ALateProjectionLeavesTheNextOwnersFile) {
  const v1::Checkpoint one = MakeSave("r", 1, {"best.h5"});
  ASSERT_OK(Drive(one, "one", Step::kApplied));
  const auto late = store_->GetCheckpoint("r", "1");
  ASSERT_OK(late);
  ASSERT_OK(Commit(MakeSave("r", 2, {"best.h5"}), "two"));
  EXPECT_OK(store_->Project(*late));
  EXPECT_EQ(Seen("r", "best.h5"), "two");
}

TEST_F(CheckpointStoreTest, ReportsNamesThatCannotBePutInPlace) {
  fs::create_directories(data_ + "/runs/r/best.h5");
  EXPECT_THAT(store_->CheckName("r", "best.h5"), HasReason("PATH_BLOCKED"));
  EXPECT_OK(store_->CheckName("r", "other.h5"));
  EXPECT_THAT(store_->CheckName("r", "../r/best.h5"), HasReason("PATH_ESCAPES"));
  EXPECT_THAT(store_->CheckName("../r", "best.h5"), HasReason("NAME_INVALID"));

  ASSERT_OK(Commit(MakeSave("r", 1, {"best.h5", "other.h5"}), "one"));
  EXPECT_EQ(Seen("r", "other.h5"), "one");
  const auto checkpoint = store_->GetCheckpoint("r", "1");
  ASSERT_OK(checkpoint);
  EXPECT_THAT(checkpoint->placements(0).projection_error(),
              testing::HasSubstr("a folder is in the way"));
  EXPECT_EQ(checkpoint->placements(1).projection_error(), "");
  EXPECT_EQ(Read("r", "1"), "one");

  fs::remove(data_ + "/runs/r/best.h5");
  Reopen();
  EXPECT_EQ(Seen("r", "best.h5"), "one");
  EXPECT_EQ(store_->GetCheckpoint("r", "1")->placements(0).projection_error(), "");
}

TEST_F(CheckpointStoreTest, ACopyIsMarkedUntilItIsMade) {
  const v1::Checkpoint save = MakeSave("r", 1, {"best.h5"}, v1::StorageOptions::PROJECTION_COPY);
  ASSERT_OK(Drive(save, "one", Step::kApplied));
  EXPECT_NE(store_->GetCheckpoint("r", "1")->placements(0).projection_error(), "");
  const auto projected = store_->Project(*store_->GetCheckpoint("r", "1"));
  ASSERT_OK(projected);
  EXPECT_EQ(projected->placements(0).projection_error(), "");
  EXPECT_EQ(store_->GetCheckpoint("r", "1")->placements(0).projection_error(), "");
}

TEST_F(CheckpointStoreTest, ReadsSeveralParts) {
  const v1::Checkpoint save = MakeSave("r", 1, {"model"});
  ASSERT_OK(Drive(save, "", Step::kDecided));
  ASSERT_OK(Upload({.run = "r", .save = "1", .stage_id = "", .part_count = 2}, "w0"));
  EXPECT_FALSE(store_->CompleteParts("r", "1", "", 1)->has_value());
  ASSERT_OK(Upload({.run = "r", .save = "1", .stage_id = "", .part = "optimizer", .part_count = 2},
                   "o0"));
  ASSERT_TRUE(store_->CompleteParts("r", "1", "", 1)->has_value());
  ASSERT_OK(Commit(save, "w0"));
  EXPECT_EQ(Seen("r", "model/weights"), "w0");
  EXPECT_EQ(Seen("r", "model/optimizer"), "o0");
  EXPECT_THAT(store_->OpenRead("r", "1", 0, ""), HasReason("PART_NOT_FOUND"));
  const auto reader = store_->OpenRead("r", "1", 0, "optimizer");
  ASSERT_OK(reader);
  EXPECT_EQ(ReadAll(**reader).value_or(""), "o0");
}

TEST_F(CheckpointStoreTest, ReadsOnlyWhatExists) {
  ASSERT_OK(Drive(MakeSave("r", 1, {"best.h5"}), "one", Step::kPublished));
  EXPECT_THAT(store_->OpenRead("r", "1", 0, ""), HasReason("CHECKPOINT_NOT_FOUND"));
  EXPECT_THAT(store_->OpenRead("none", "1", 0, ""), HasReason("RUN_NOT_FOUND"));
  EXPECT_THAT(Ids("r"), IsEmpty());
}

TEST_F(CheckpointStoreTest, TellsDamage) {
  ASSERT_OK(Commit(MakeSave("r", 1, {"best.h5"}), "one"));
  const std::string blob = data_ + '/' + BlobPath("r@1");
  WriteFile(blob + "/weights", "two");
  const auto reader = store_->OpenRead("r", "1", 0, "");
  ASSERT_OK(reader);
  EXPECT_THAT(ReadAll(**reader), HasReason("BLOB_CORRUPT"));
  WriteFile(blob + "/manifest.json", "{}");
  EXPECT_THAT(store_->OpenRead("r", "1", 0, ""), HasReason("BLOB_CORRUPT"));
  fs::remove_all(blob);
  EXPECT_THAT(store_->OpenRead("r", "1", 0, ""), HasReason("BLOB_CORRUPT"));
}

TEST_F(CheckpointStoreTest, OneStorePerFolder) {
  EXPECT_THAT(TryOpen(), HasReason("DATA_DIR_IN_USE"));
  store_.reset();
  EXPECT_OK(TryOpen());
}

TEST_F(CheckpointStoreTest, RefusesANewerVersionWithoutTouchingIt) {
  store_.reset();
  WriteFile(data_ + "/VERSION", "2\n");
  WriteFile(data_ + "/staging/whatever@9/x", "newer");
  EXPECT_THAT(TryOpen(), HasReason("VERSION_TOO_NEW"));
  EXPECT_EQ(ReadFile(data_ + "/staging/whatever@9/x"), "newer");
}

TEST_F(CheckpointStoreTest, OpensWithTheRealFileSystemAndClock) {
  store_.reset();
  const auto store = CheckpointStore::Open({.data_dir = data_, .on_index_error = {}});
  ASSERT_OK(store);
  EXPECT_GE((*store)->recovery().took().nanos(), 0);
}

}  // namespace
}  // namespace ckpt::storage
