#include "storage/blob/upload_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "tests/unit/storage/testing/matchers.h"

namespace ckpt::storage {
namespace {

absl::Status Nothing() { return absl::OkStatus(); }

TEST(UploadTableTest, GivesEachPartToOneWriter) {
  UploadTable table;
  auto weights = table.ClaimPart("r@1", "weights");
  ASSERT_OK(weights);
  EXPECT_THAT(table.ClaimPart("r@1", "weights"), HasReason("UPLOAD_BUSY"));
  EXPECT_OK(table.ClaimPart("r@1", "optimizer"));
  EXPECT_OK(table.ClaimPart("r@2", "weights"));
  weights->Release();
  EXPECT_OK(table.ClaimPart("r@1", "weights"));
}

TEST(UploadTableTest, TakesClaimsBackWhenTheyEnd) {
  UploadTable table;
  {
    auto first = table.ClaimPart("r@1", "weights");
    ASSERT_OK(first);
    const PartClaim second = *std::move(first);
    EXPECT_THAT(table.ClaimPart("r@1", "weights"), HasReason("UPLOAD_BUSY"));
  }
  EXPECT_OK(table.ClaimPart("r@1", "weights"));
}

TEST(UploadTableTest, AClaimedFolderTakesNoWriters) {
  UploadTable table;
  {
    const auto folder = table.ClaimFolder("r@1");
    ASSERT_OK(folder);
    EXPECT_THAT(table.ClaimPart("r@1", "weights"), HasReason("UPLOAD_BUSY"));
    EXPECT_THAT(table.ClaimFolder("r@1"), HasReason("UPLOAD_BUSY"));
    EXPECT_THAT(table.SeizeFolder("r@1"), HasReason("UPLOAD_BUSY"));
    EXPECT_OK(table.ClaimPart("r@2", "weights"));
  }
  EXPECT_OK(table.ClaimPart("r@1", "weights"));
}

TEST(UploadTableTest, AFolderWithAWriterIsNotIdle) {
  UploadTable table;
  auto part = table.ClaimPart("r@1", "weights");
  ASSERT_OK(part);
  EXPECT_THAT(table.ClaimFolder("r@1"), HasReason("UPLOAD_BUSY"));
  part->Release();
  EXPECT_OK(table.ClaimFolder("r@1"));
}

TEST(UploadTableTest, SeizingTakesThePartsFromTheirWriters) {
  UploadTable table;
  auto part = table.ClaimPart("r@1", "weights");
  ASSERT_OK(part);
  part->slot()->bytes = 5;
  EXPECT_OK(part->slot()->WhileOpen("s", Nothing));
  {
    const auto folder = table.SeizeFolder("r@1");
    ASSERT_OK(folder);
    bool ran = false;
    EXPECT_THAT(part->slot()->WhileOpen("runs/r/checkpoints/1",
                                        [&] {
                                          ran = true;
                                          return absl::OkStatus();
                                        }),
                HasReason("SAVE_NOT_OPEN"));
    EXPECT_FALSE(ran);
  }
  // Not published after all: the bytes are still there, and for anyone to go on with.
  EXPECT_EQ(table.bytes(), 5);
  const auto again = table.ClaimPart("r@1", "weights");
  ASSERT_OK(again);
  EXPECT_OK(again->slot()->WhileOpen("s", Nothing));
  part->Release();  // of no consequence for the new writer
  EXPECT_THAT(table.ClaimPart("r@1", "weights"), HasReason("UPLOAD_BUSY"));
}

TEST(UploadTableTest, CountsBytes) {
  UploadTable table;
  table.Add("r@1", "weights", 10);
  table.Add("r@2", "weights", 20);
  EXPECT_EQ(table.bytes(), 30);
  EXPECT_THAT(table.folders(), testing::ElementsAre("r@1", "r@2"));
  {
    auto folder = table.ClaimFolder("r@1");
    ASSERT_OK(folder);
    folder->Forget();
  }
  EXPECT_EQ(table.bytes(), 20);
  EXPECT_THAT(table.folders(), testing::ElementsAre("r@2"));
}

TEST(UploadTableTest, MovesTheBytesOfARenamedFolder) {
  UploadTable table;
  table.Add("r@stage.s", "weights", 10);
  {
    auto from = table.ClaimFolder("r@stage.s");
    auto to = table.ClaimFolder("r@1");
    ASSERT_OK(from);
    ASSERT_OK(to);
    from->MoveTo(*to);
  }
  EXPECT_THAT(table.folders(), testing::ElementsAre("r@1"));
  EXPECT_EQ(table.bytes(), 10);
}

}  // namespace
}  // namespace ckpt::storage
