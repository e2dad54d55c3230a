#include "storage/blob/part_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <span>
#include <string>

#include "storage/base/digest.h"
#include "storage/blob/blob_store.h"
#include "storage/blob/layout.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/saves.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;

class PartReaderTest : public testing::Test {
 protected:
  PartReaderTest() {
    EXPECT_OK(root_->MakeDirectory("staging"));
    EXPECT_OK(root_->MakeDirectory("blobs"));
    Upload("weights", 0, bytes_);
    Upload("optimizer", 0, "");
    Upload("weights", 1, "rank 1");
    v1::Checkpoint save = MakeSave("r", 1, {"best.h5"});
    save.add_policy_states();
    auto published = blobs_.Publish(save);
    EXPECT_OK(published);
    row_ = *published;
    manifest_ = *blobs_.ReadManifest(row_);
  }

  void Upload(const std::string& part, int rank, const std::string& bytes) {
    const auto writer = staging_.OpenPart(
        {.run = "r", .save = "1", .stage_id = "", .rank = rank, .part = part, .part_count = 2});
    ASSERT_OK(writer);
    ASSERT_OK(AppendAll(**writer, bytes));
    ASSERT_OK((*writer)->Finish(static_cast<int64_t>(bytes.size()), ""));
  }
  absl::StatusOr<std::unique_ptr<PartReader>> Open(int rank, std::string_view part) {
    return OpenPartReader(*root_, row_, manifest_, rank, part);
  }

  const std::string bytes_ = Bytes(2 * kDigestBlockBytes + 100);
  TempDir dir_;
  std::unique_ptr<Directory> root_ = dir_.Open();
  FakeClock clock_;
  Staging staging_{*root_};
  BlobStore blobs_{*root_, staging_, clock_};
  v1::Checkpoint row_;
  v1::Manifest manifest_;
  const std::string file_ = dir_ / BlobPath("r@1") + "/weights";
};

TEST_F(PartReaderTest, ReadsBlocks) {
  const auto reader = Open(0, "weights");
  ASSERT_OK(reader);
  EXPECT_EQ((*reader)->blocks(), 3);
  EXPECT_EQ((*reader)->part().size(), static_cast<int64_t>(bytes_.size()));
  EXPECT_TRUE((*reader)->part().block_digests().empty());
  EXPECT_EQ((*reader)->checkpoint().name(), row_.name());
  EXPECT_TRUE((*reader)->checkpoint().policy_states().empty());
  EXPECT_EQ(ReadAll(**reader).value_or(""), bytes_);
  std::string block(kDigestBlockBytes, 'x');
  EXPECT_THAT((*reader)->ReadBlock(3, block), HasReason("FIELD_INVALID"));
  EXPECT_THAT((*reader)->ReadBlock(-1, block), HasReason("FIELD_INVALID"));
  EXPECT_THAT((*reader)->ReadBlock(2, block), HasReason("FIELD_INVALID")) << "it has 100 bytes";
  EXPECT_THAT((*reader)->ReadBlock(0, std::span(block).first(100)), HasReason("FIELD_INVALID"));
}

TEST_F(PartReaderTest, AnEmptyPartHasNoBlocks) {
  const auto reader = Open(0, "optimizer");
  ASSERT_OK(reader);
  EXPECT_EQ((*reader)->blocks(), 0);
}

TEST_F(PartReaderTest, AnEmptyNameMeansTheOnlyPart) {
  EXPECT_EQ(ReadAll(**Open(1, "")).value_or(""), "rank 1");
  const auto ambiguous = Open(0, "");
  EXPECT_THAT(ambiguous, HasReason("PART_NOT_FOUND"));
  EXPECT_THAT(ambiguous, Says("'optimizer', 'weights'"));
  EXPECT_THAT(Open(0, "none"), HasReason("PART_NOT_FOUND"));
  EXPECT_THAT(Open(2, ""), HasReason("PART_NOT_FOUND"));
}

TEST_F(PartReaderTest, FindsEveryDamagedBlock) {
  for (const int64_t position :
       {int64_t{0}, kDigestBlockBytes - 1, kDigestBlockBytes, 2 * kDigestBlockBytes + 99}) {
    std::string damaged = bytes_;
    damaged[static_cast<size_t>(position)] ^= 1;
    WriteFile(file_, damaged);
    const auto reader = Open(0, "weights");
    ASSERT_OK(reader);
    for (int64_t i = 0; i < 3; ++i) {
      std::string block(i < 2 ? kDigestBlockBytes : 100, 'x');
      const absl::Status status = (*reader)->ReadBlock(i, block);
      if (i == position / kDigestBlockBytes) {
        EXPECT_THAT(status, HasReason("BLOB_CORRUPT")) << position;
      } else {
        EXPECT_OK(status) << position;
      }
    }
  }
}

TEST_F(PartReaderTest, NoticesAFileOfAnotherSize) {
  fs::permissions(file_, fs::perms(0640));
  const auto reader = Open(0, "weights");
  ASSERT_OK(reader);
  fs::resize_file(file_, bytes_.size() - 1);
  std::string block(100, 'x');
  EXPECT_THAT((*reader)->ReadBlock(2, block), HasReason("BLOB_CORRUPT"));
  EXPECT_THAT(Open(0, "weights"), HasReason("BLOB_CORRUPT"));
  fs::remove(file_);
  EXPECT_THAT(Open(0, "weights"), HasReason("BLOB_CORRUPT"));
}

TEST_F(PartReaderTest, KeepsReadingWhatIsDeletedMeanwhile) {
  const auto reader = Open(0, "weights");
  ASSERT_OK(reader);
  ASSERT_OK(blobs_.Remove(row_));
  EXPECT_EQ(ReadAll(**reader).value_or(""), bytes_);
}

TEST_F(PartReaderTest, IndexAndManifestMustAgree) {
  row_.mutable_parts(1)->set_xxh3_128(std::string(16, 'x'));
  EXPECT_THAT(Open(0, "weights"), HasReason("BLOB_CORRUPT"));
  manifest_.mutable_checkpoint()->mutable_parts()->DeleteSubrange(0, 1);
  EXPECT_THAT(Open(0, "optimizer"), HasReason("BLOB_CORRUPT"));
}

}  // namespace
}  // namespace ckpt::storage
