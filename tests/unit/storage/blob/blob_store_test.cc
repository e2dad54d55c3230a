#include "storage/blob/blob_store.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>

#include "storage/base/digest.h"
#include "storage/blob/layout.h"
#include "storage/blob/part_reader.h"
#include "storage/fs/posix_file_system.h"
#include "tests/unit/storage/testing/faulty_file_system.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/saves.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;
using google::protobuf::util::MessageDifferencer;

class BlobStoreTest : public testing::Test {
 protected:
  BlobStoreTest() {
    EXPECT_OK(root_->MakeDirectory("staging"));
    EXPECT_OK(root_->MakeDirectory("blobs"));
  }

  void Upload(const std::string& part, const std::string& bytes, int rank = 0) {
    const auto writer = staging_.OpenPart(
        {.run = "r", .save = "1", .stage_id = "", .rank = rank, .part = part, .part_count = 2});
    ASSERT_OK(writer);
    ASSERT_OK(AppendAll(**writer, bytes));
    ASSERT_OK((*writer)->Finish(static_cast<int64_t>(bytes.size()), DigestOf(bytes)));
  }

  TempDir dir_;
  PosixFileSystem real_;
  FaultyFileSystem file_system_{real_};
  std::unique_ptr<Directory> root_ = *file_system_.OpenDirectory(dir_.path());
  FakeClock clock_;
  Staging staging_{*root_};
  BlobStore blobs_{*root_, staging_, clock_};
  const v1::Checkpoint save_ = MakeSave("r", 1, {"best.h5"});
  const std::string blob_ = dir_ / BlobPath("r@1");
};

TEST_F(BlobStoreTest, PublishesPartsAndManifest) {
  Upload("weights", "abc");
  Upload("optimizer", "defg", 1);
  const auto checkpoint = blobs_.Publish(save_);
  ASSERT_OK(checkpoint);
  EXPECT_EQ(checkpoint->state(), v1::Checkpoint::STATE_COMMITTED);
  EXPECT_EQ(checkpoint->size(), 7);
  EXPECT_EQ(checkpoint->commit_time().seconds(), 1'700'000'000);
  EXPECT_EQ(checkpoint->metrics().at("val_loss"), 1.0);
  ASSERT_EQ(checkpoint->parts_size(), 2);
  EXPECT_EQ(checkpoint->parts(0).part(), "weights");
  EXPECT_EQ(checkpoint->parts(1).part(), "optimizer");
  EXPECT_EQ(checkpoint->parts(1).rank(), 1);
  EXPECT_TRUE(checkpoint->parts(0).block_digests().empty());

  EXPECT_THAT(FilesBelow(blob_), testing::ElementsAre("manifest.json", "optimizer@1", "weights"));
  EXPECT_EQ(ReadFile(blob_ + "/optimizer@1"), "defg");
  EXPECT_EQ(fs::status(blob_ + "/weights").permissions(), fs::perms(0440));
  EXPECT_FALSE(fs::exists(dir_ / "staging/r@1"));
  EXPECT_EQ(staging_.bytes(), 0);

  const auto manifest = blobs_.ReadManifest(save_);
  ASSERT_OK(manifest);
  EXPECT_EQ(manifest->format_version(), 1);
  EXPECT_EQ(manifest->checkpoint().parts(0).block_digests(), BlockDigest("abc"));
}

TEST_F(BlobStoreTest, WritesTheManifestBeforeTheMoveAndSyncsBothSides) {
  Upload("weights", "abc");
  file_system_.Reset();
  ASSERT_OK(blobs_.Publish(save_));
  const auto calls = file_system_.calls();
  const auto at = [&](const std::string& call) {
    const auto found = std::find(calls.begin(), calls.end(), call);
    EXPECT_NE(found, calls.end()) << call;
    return found;
  };
  const auto move = at("rename " + BlobPath("r@1"));
  EXPECT_LT(at("sync staging/r@1/.manifest.json.tmp"), at("rename staging/r@1/manifest.json"));
  EXPECT_LT(at("rename staging/r@1/manifest.json"), at("syncdir staging/r@1"));
  EXPECT_LT(at("syncdir staging/r@1"), move);
  EXPECT_LT(move, at("syncdir " + BlobShardPath("r@1")));
  EXPECT_LT(move, at("syncdir staging"));
}

TEST_F(BlobStoreTest, PublishingAgainGivesTheSameAnswer) {
  Upload("weights", "abc");
  const auto first = blobs_.Publish(save_);
  ASSERT_OK(first);
  clock_.now += 1'000'000'000;
  const auto second = blobs_.Publish(save_);
  ASSERT_OK(second);
  EXPECT_TRUE(MessageDifferencer::Equals(*first, *second));
}

TEST_F(BlobStoreTest, NeedsAPart) {
  EXPECT_THAT(blobs_.Publish(save_), HasReason("SAVE_NOT_OPEN"));
  v1::Checkpoint nameless;
  EXPECT_THAT(blobs_.Publish(nameless), HasReason("NAME_INVALID"));
  nameless.set_name("runs/r/checkpoints/latest");
  EXPECT_THAT(blobs_.Publish(nameless), HasReason("NAME_INVALID"));
}

TEST_F(BlobStoreTest, UnfinishedPartsAreLeftOut) {
  Upload("weights", "abc");
  const auto writer = staging_.OpenPart({.run = "r", .save = "1", .stage_id = "", .part = "stray"});
  ASSERT_OK(writer);
  ASSERT_OK(AppendAll(**writer, "x"));
  ASSERT_OK(blobs_.Publish(save_));
  EXPECT_THAT(FilesBelow(blob_), testing::ElementsAre("manifest.json", "weights"));
  EXPECT_THAT(AppendAll(**writer, "y"), HasReason("SAVE_NOT_OPEN"));
}

TEST_F(BlobStoreTest, ASaveOfARunMadeAnewReplacesTheOldOne) {
  Upload("weights", "old");
  ASSERT_OK(blobs_.Publish(save_));
  v1::Checkpoint anew = save_;
  anew.mutable_create_time()->set_seconds(1'650'000'000);
  Upload("weights", "new");
  ASSERT_OK(blobs_.Publish(anew));
  EXPECT_EQ(ReadFile(blob_ + "/weights"), "new");
  // The old one's eviction comes late.
  EXPECT_OK(blobs_.Remove(save_));
  EXPECT_EQ(ReadFile(blob_ + "/weights"), "new");
  EXPECT_OK(blobs_.Remove(anew));
  EXPECT_FALSE(fs::exists(blob_));
  EXPECT_OK(blobs_.Remove(anew));
}

TEST_F(BlobStoreTest, ManifestsCutOffAnywhereAreCorrupt) {
  Upload("weights", "abc");
  ASSERT_OK(blobs_.Publish(save_));
  const std::string path = blob_ + "/manifest.json";
  const std::string manifest = ReadFile(path);
  for (size_t length = 0; length + 1 < manifest.size(); ++length) {
    WriteFile(path, manifest.substr(0, length));
    EXPECT_THAT(blobs_.ReadManifest(save_), HasReason("BLOB_CORRUPT")) << length;
    const auto published = blobs_.FindPublished(save_);
    ASSERT_OK(published);
    EXPECT_FALSE(published->has_value()) << length;
  }
  fs::remove(path);
  EXPECT_THAT(blobs_.ReadManifest(save_), HasReason("BLOB_CORRUPT"));
}

TEST_F(BlobStoreTest, TheManifestOfAnotherCheckpointIsCorrupt) {
  Upload("weights", "abc");
  ASSERT_OK(blobs_.Publish(save_));
  const v1::Checkpoint other = MakeSave("r", 2, {"best.h5"});
  fs::create_directories(dir_ / BlobPath("r@2"));
  fs::copy(blob_ + "/manifest.json", dir_ / BlobPath("r@2") + "/manifest.json");
  EXPECT_THAT(blobs_.ReadManifest(other), HasReason("BLOB_CORRUPT"));
}

// Wherever one call fails, publishing again succeeds.
TEST_F(BlobStoreTest, SurvivesEveryFailure) {
  for (int64_t k = 1;; ++k) {
    fs::remove_all(dir_ / "staging/r@1");
    fs::remove_all(dir_ / "blobs");
    fs::create_directory(dir_ / "blobs");
    Upload("weights", "abc");
    file_system_.Reset();
    file_system_.set_plan(FailOnce(k, ENOSPC));
    const auto first = blobs_.Publish(save_);
    const auto calls = static_cast<int64_t>(file_system_.calls().size());
    file_system_.set_plan(nullptr);
    if (calls < k) {
      EXPECT_GT(k, 15);
      break;
    }
    const auto second = blobs_.Publish(save_);
    ASSERT_OK(second) << "after call " << k << ": " << first.status();
    ASSERT_EQ(ReadFile(blob_ + "/weights"), "abc") << k;
    ASSERT_EQ(staging_.bytes(), 0) << k;
  }
}

}  // namespace
}  // namespace ckpt::storage
