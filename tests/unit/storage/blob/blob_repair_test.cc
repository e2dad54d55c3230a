#include "storage/blob/blob_repair.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "storage/blob/blob_store.h"
#include "storage/blob/layout.h"
#include "storage/blob/staging.h"
#include "storage/fs/posix_file_system.h"
#include "tests/unit/storage/testing/faulty_file_system.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/saves.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;

class BlobRepairTest : public testing::Test {
 protected:
  BlobRepairTest() {
    EXPECT_OK(root_->MakeDirectory("staging"));
    EXPECT_OK(root_->MakeDirectory("blobs"));
    const auto writer = staging_.OpenPart({.run = "r", .save = "1", .stage_id = ""});
    EXPECT_OK(writer);
    EXPECT_OK(AppendAll(**writer, bytes_));
    EXPECT_OK((*writer)->Finish(static_cast<int64_t>(bytes_.size()), ""));
    row_ = *blobs_.Publish(MakeSave("r", 1, {"best"}));
  }

  absl::StatusOr<bool> Restore() { return RestorePart(*root_, row_, row_.parts(0), "good"); }
  void Damage() {
    std::string bytes = bytes_;
    bytes[7] = static_cast<char>(~bytes[7]);
    fs::remove(file_);
    WriteFile(file_, bytes);
  }
  // Nothing is in the blob but the part and the manifest.
  void ExpectNoLeftovers() { EXPECT_EQ(FilesBelow(dir_ / BlobPath("r@1")).size(), 2U); }

  const std::string bytes_ = Bytes(5 << 20);
  TempDir dir_;
  PosixFileSystem real_;
  FaultyFileSystem file_system_{real_};
  std::unique_ptr<Directory> root_ = *file_system_.OpenDirectory(dir_.path());
  FakeClock clock_;
  Staging staging_{*root_};
  BlobStore blobs_{*root_, staging_, clock_};
  v1::Checkpoint row_;
  const std::string file_ = dir_ / BlobPath("r@1") + "/weights";
  const std::string manifest_ = dir_ / BlobPath("r@1") + '/' + kManifestFile;
};

TEST_F(BlobRepairTest, AGoodCopyTakesThePlaceOfADamagedPart) {
  Damage();
  WriteFile(dir_ / "good", bytes_);
  const auto restored = Restore();
  ASSERT_OK(restored);
  EXPECT_TRUE(*restored);
  EXPECT_EQ(ReadFile(file_), bytes_);
  EXPECT_EQ(ReadFile(dir_ / "good"), bytes_);  // a copy: its owner may change it
  EXPECT_FALSE(fs::equivalent(dir_ / "good", file_));
  EXPECT_EQ(fs::status(file_).permissions(), fs::perms::owner_read | fs::perms::group_read);
  ExpectNoLeftovers();
}

TEST_F(BlobRepairTest, WhatIsNotThePartIsNotTaken) {
  std::string other = bytes_;
  other[0] = static_cast<char>(~other[0]);
  for (const std::string& content : {other, bytes_ + "x", std::string("short"), std::string()}) {
    Damage();
    const std::string damaged = ReadFile(file_);
    WriteFile(dir_ / "good", content);
    const auto restored = Restore();
    ASSERT_OK(restored);
    EXPECT_FALSE(*restored);
    EXPECT_EQ(ReadFile(file_), damaged);
    ExpectNoLeftovers();
  }
  fs::remove(dir_ / "good");
  EXPECT_FALSE(*Restore());
  fs::create_symlink(file_, dir_ / "good");
  EXPECT_FALSE(Restore().value_or(false));
}

TEST_F(BlobRepairTest, AFailureLeavesTheDamagedPart) {
  Damage();
  const std::string damaged = ReadFile(file_);
  WriteFile(dir_ / "good", bytes_);
  for (const char* operation : {"write", "sync", "rename"}) {
    file_system_.set_plan(FailOperation(operation, "weights", EIO));
    EXPECT_THAT(Restore(), HasReason("STORAGE_FAILED")) << operation;
    file_system_.set_plan(nullptr);
    EXPECT_EQ(ReadFile(file_), damaged) << operation;
  }
  EXPECT_TRUE(*Restore());  // over what the failures have left
  ExpectNoLeftovers();
}

TEST_F(BlobRepairTest, AManifestIsWrittenAgain) {
  const auto before = blobs_.ReadManifest(row_);
  ASSERT_OK(before);
  fs::remove(manifest_);
  ASSERT_OK(RestoreManifest(*root_, row_, before->run()));
  const auto after = blobs_.ReadManifest(row_);
  ASSERT_OK(after);
  EXPECT_EQ(after->checkpoint().parts(0).block_digests(),
            before->checkpoint().parts(0).block_digests());
  EXPECT_EQ(after->checkpoint().SerializeAsString(), before->checkpoint().SerializeAsString());
}

TEST_F(BlobRepairTest, NoManifestVouchesForADamagedPart) {
  fs::remove(manifest_);
  Damage();
  EXPECT_THAT(RestoreManifest(*root_, row_, {}), HasReason("BLOB_CORRUPT"));
  EXPECT_FALSE(fs::exists(manifest_));
  fs::remove(file_);
  EXPECT_FALSE(RestoreManifest(*root_, row_, {}).ok());
  EXPECT_FALSE(fs::exists(manifest_));
}

TEST_F(BlobRepairTest, ARestoredManifestBearsNoMark) {
  fs::remove(manifest_);
  row_.set_damage("part 'weights': it does not match its digest");
  ASSERT_OK(RestoreManifest(*root_, row_, {}));
  EXPECT_EQ(blobs_.ReadManifest(row_)->checkpoint().damage(), "");
}

}  // namespace
}  // namespace ckpt::storage
