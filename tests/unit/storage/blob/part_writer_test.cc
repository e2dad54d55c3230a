#include "storage/blob/part_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>

#include "storage/blob/layout.h"
#include "storage/blob/records.h"
#include "storage/fs/posix_file_system.h"
#include "tests/unit/storage/testing/faulty_file_system.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/saves.h"
#include "tests/unit/storage/testing/temp_dir.h"
#include "tests/unit/storage/testing/test_content.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;

constexpr int64_t kMiB = 1 << 20;

class PartWriterTest : public testing::Test {
 protected:
  PartWriterTest() { EXPECT_OK(root_->MakeDirectory("staging")); }

  absl::StatusOr<std::unique_ptr<PartWriter>> TryOpen() {
    return StagedPartWriter::Open(*root_, table_, space_, target_);
  }
  std::unique_ptr<PartWriter> Open() {
    auto writer = TryOpen();
    EXPECT_OK(writer);
    return writer.ok() ? *std::move(writer) : nullptr;
  }
  // A part whose first 64 MiB are durable, with some more received.
  void ReceiveSome(const std::string& bytes) {
    const auto writer = Open();
    ASSERT_OK(AppendAll(*writer, bytes));
    ASSERT_EQ(writer->persisted(), 64 * kMiB);
  }

  TempDir dir_;
  PosixFileSystem real_;
  FaultyFileSystem file_system_{real_};
  std::unique_ptr<Directory> root_ = *file_system_.OpenDirectory(dir_.path());
  UploadTable table_;
  FreeSpace space_{*root_, 0};
  PartTarget target_{.run = "r", .save = "1", .stage_id = ""};
  const std::string data_ = dir_ / "staging/r@1/weights";
  const std::string session_ = dir_ / "staging/r@1/.weights.session";
};

TEST_F(PartWriterTest, ReceivesAndFinishes) {
  const std::string bytes = Bytes(5 * kMiB + 17);
  const auto writer = Open();
  EXPECT_EQ(writer->offset(), 0);
  EXPECT_FALSE(writer->finished().has_value());
  ASSERT_OK(AppendAll(*writer, bytes));
  EXPECT_EQ(writer->offset(), static_cast<int64_t>(bytes.size()));
  EXPECT_EQ(table_.bytes(), static_cast<int64_t>(bytes.size()));

  const auto part = writer->Finish(static_cast<int64_t>(bytes.size()), DigestOf(bytes));
  ASSERT_OK(part);
  EXPECT_EQ(part->part(), "weights");
  EXPECT_EQ(part->rank(), 0);
  EXPECT_EQ(part->size(), static_cast<int64_t>(bytes.size()));
  EXPECT_EQ(part->xxh3_128(), DigestOf(bytes));
  EXPECT_TRUE(part->block_digests().empty());
  EXPECT_EQ(writer->persisted(), static_cast<int64_t>(bytes.size()));
  EXPECT_EQ(ReadFile(data_), bytes);
  EXPECT_THAT(writer->Append({}), HasReason("SAVE_NOT_OPEN"));
}

TEST_F(PartWriterTest, AnEmptyPartIsAPart) {
  const auto part = Open()->Finish(0, DigestOf(""));
  ASSERT_OK(part);
  EXPECT_EQ(part->size(), 0);
}

TEST_F(PartWriterTest, BelievesTheBytesIfTheSenderHasNoDigest) {
  const auto writer = Open();
  ASSERT_OK(AppendAll(*writer, "abc"));
  EXPECT_OK(writer->Finish(3, ""));
}

TEST_F(PartWriterTest, FinishingAgainGivesTheSameAnswer) {
  const auto first = Open();
  ASSERT_OK(AppendAll(*first, "abc"));
  ASSERT_OK(first->Finish(3, DigestOf("abc")));
  EXPECT_OK(first->Finish(3, DigestOf("abc")));
  const auto second = Open();  // the first writer still exists
  ASSERT_TRUE(second->finished().has_value());
  EXPECT_EQ(second->offset(), 3);
  EXPECT_EQ(second->persisted(), 3);
  EXPECT_EQ(second->Finish(3, "")->xxh3_128(), DigestOf("abc"));
  EXPECT_THAT(second->Finish(4, ""), HasReason("SIZE_MISMATCH"));
  EXPECT_THAT(second->Append({}), HasReason("SAVE_NOT_OPEN"));
}

TEST_F(PartWriterTest, AFinishedPartWithOtherBytesIsThrownAway) {
  const auto first = Open();
  ASSERT_OK(AppendAll(*first, "abc"));
  ASSERT_OK(first->Finish(3, ""));
  const auto second = Open();
  EXPECT_THAT(second->Finish(3, DigestOf("xyz")), HasReason("DIGEST_MISMATCH"));
  EXPECT_EQ(second->offset(), 0);
  ASSERT_OK(AppendAll(*second, "xyz"));
  EXPECT_OK(second->Finish(3, DigestOf("xyz")));
  EXPECT_EQ(ReadFile(data_), "xyz");
}

TEST_F(PartWriterTest, AWrongSizeLeavesThePartOpen) {
  const auto writer = Open();
  ASSERT_OK(AppendAll(*writer, "abc"));
  EXPECT_THAT(writer->Finish(4, ""), HasReason("SIZE_MISMATCH"));
  EXPECT_EQ(writer->offset(), 3);
  ASSERT_OK(AppendAll(*writer, "d"));
  EXPECT_OK(writer->Finish(4, DigestOf("abcd")));
}

TEST_F(PartWriterTest, AWrongDigestThrowsThePartAway) {
  const auto writer = Open();
  ASSERT_OK(AppendAll(*writer, "abc"));
  EXPECT_THAT(writer->Finish(3, DigestOf("abd")), HasReason("DIGEST_MISMATCH"));
  EXPECT_EQ(writer->offset(), 0);
  EXPECT_EQ(table_.bytes(), 0);
  ASSERT_OK(AppendAll(*writer, "abd"));
  EXPECT_OK(writer->Finish(3, DigestOf("abd")));
}

TEST_F(PartWriterTest, OneWriterAtATime) {
  auto writer = Open();
  EXPECT_THAT(TryOpen(), HasReason("UPLOAD_BUSY"));
  writer.reset();
  EXPECT_OK(TryOpen());
}

TEST_F(PartWriterTest, WhatWasNotPersistedIsSentAgain) {
  ASSERT_OK(AppendAll(*Open(), "abc"));
  const auto writer = Open();
  EXPECT_EQ(writer->offset(), 0);
  EXPECT_EQ(table_.bytes(), 0);
}

TEST_F(PartWriterTest, ResumesAfterThePersistedBytes) {
  const std::string bytes = Bytes(70 * kMiB);
  ASSERT_NO_FATAL_FAILURE(ReceiveSome(bytes));
  const auto writer = Open();
  EXPECT_EQ(writer->offset(), 64 * kMiB);
  EXPECT_EQ(writer->persisted(), 64 * kMiB);
  EXPECT_EQ(table_.bytes(), 64 * kMiB);
  EXPECT_EQ(fs::file_size(data_), static_cast<uintmax_t>(64 * kMiB));
  ASSERT_OK(AppendAll(*writer, std::string_view(bytes).substr(64 * kMiB)));
  EXPECT_OK(writer->Finish(static_cast<int64_t>(bytes.size()), DigestOf(bytes)));
  EXPECT_EQ(DigestOf(ReadFile(data_)), DigestOf(bytes));
}

TEST_F(PartWriterTest, ResumingHashesWhatIsOnDisk) {
  ASSERT_NO_FATAL_FAILURE(ReceiveSome(Bytes(64 * kMiB)));
  fs::resize_file(data_, 64 * kMiB - 1);
  fs::resize_file(data_, 64 * kMiB);  // the last byte is 0 now
  EXPECT_THAT(Open()->Finish(64 * kMiB, DigestOf(Bytes(64 * kMiB))), HasReason("DIGEST_MISMATCH"));
}

TEST_F(PartWriterTest, StartsOverWhereTheFileIsShorterThanPromised) {
  ASSERT_NO_FATAL_FAILURE(ReceiveSome(Bytes(64 * kMiB)));
  fs::resize_file(data_, 64 * kMiB - 1);
  EXPECT_EQ(Open()->offset(), 0);
}

TEST_F(PartWriterTest, PromisesOnlyWhatIsSynced) {
  const auto writer = Open();
  ASSERT_OK(AppendAll(*writer, std::string(63 * kMiB, 'x')));
  EXPECT_EQ(writer->persisted(), 0);
  file_system_.Reset();
  ASSERT_OK(AppendAll(*writer, std::string(kMiB, 'x')));
  EXPECT_EQ(writer->persisted(), 64 * kMiB);
  const auto calls = file_system_.calls();
  const auto at = [&](const char* call) { return std::find(calls.begin(), calls.end(), call); };
  const auto session = at("rename staging/r@1/.weights.session");
  ASSERT_NE(session, calls.end());
  EXPECT_LT(at("sync staging/r@1/weights"), session);
  EXPECT_LT(session, at("syncdir staging/r@1"));
  EXPECT_NE(at("syncdir staging/r@1"), calls.end());
}

TEST_F(PartWriterTest, DoesNotPromiseWhatTheSessionCouldNotSay) {
  const std::string bytes = Bytes(64 * kMiB);
  {
    const auto writer = Open();
    file_system_.set_plan(FailOperation("rename", ".weights.session", EIO));
    EXPECT_THAT(AppendAll(*writer, bytes), HasReason("STORAGE_FAILED"));
    EXPECT_EQ(writer->persisted(), 0);
    file_system_.set_plan(nullptr);
  }
  EXPECT_EQ(Open()->offset(), 0);
}

TEST_F(PartWriterTest, ARestartTakesThePromiseBackFirst) {
  const auto writer = Open();
  ASSERT_OK(AppendAll(*writer, std::string(64 * kMiB, 'x')));
  file_system_.Reset();
  ASSERT_OK(writer->Restart());
  EXPECT_EQ(writer->offset(), 0);
  EXPECT_EQ(writer->persisted(), 0);
  EXPECT_THAT(file_system_.calls(),
              ElementsAre("unlink staging/r@1/.weights.session", "syncdir staging/r@1",
                          "unlink staging/r@1/weights", "create staging/r@1/weights",
                          "statfs ."));
}

TEST_F(PartWriterTest, SessionsCutOffAnywhereAreNotBelieved) {
  {
    const auto writer = Open();
    ASSERT_OK(AppendAll(*writer, "abc"));
    ASSERT_OK(writer->Finish(3, ""));
  }
  const std::string session = ReadFile(session_);
  for (size_t length = 0; length + 1 < session.size(); ++length) {
    WriteFile(data_, "abc");
    WriteFile(session_, session.substr(0, length));
    const auto writer = Open();
    ASSERT_NE(writer, nullptr) << length;
    EXPECT_FALSE(writer->finished().has_value()) << length;
    EXPECT_EQ(writer->offset(), 0) << length;
  }
  WriteFile(data_, "abc");
  WriteFile(session_, session);
  EXPECT_TRUE(Open()->finished().has_value());
}

TEST_F(PartWriterTest, SessionsOfOtherPartsAreNotBelieved) {
  target_.part = "optimizer";
  ASSERT_OK(Open()->Finish(0, ""));
  fs::copy(dir_ / "staging/r@1/.optimizer.session", session_);
  WriteFile(data_, "");
  target_.part = "weights";
  EXPECT_FALSE(Open()->finished().has_value());
}

TEST_F(PartWriterTest, ReservesTheAnnouncedSizeAndGivesTheRestBack) {
  target_.size_hint = 8 * kMiB;
  const auto writer = Open();
  EXPECT_THAT(file_system_.calls(), Contains("reserve staging/r@1/weights"));
  ASSERT_OK(AppendAll(*writer, "abc"));
  file_system_.Reset();
  ASSERT_OK(writer->Finish(3, ""));
  EXPECT_THAT(file_system_.calls(), Contains("truncate staging/r@1/weights"));
  EXPECT_EQ(ReadFile(data_), "abc");
}

TEST_F(PartWriterTest, RefusesWhatCannotFit) {
  target_.size_hint = int64_t{1} << 60;
  EXPECT_THAT(TryOpen(), HasReason("DISK_FULL"));
  target_.size_hint = kMiB;
  file_system_.set_plan(FailOperation("reserve", "weights", ENOSPC));
  EXPECT_THAT(TryOpen(), HasReason("DISK_FULL"));
  file_system_.set_plan(nullptr);
  EXPECT_OK(TryOpen());
}

TEST_F(PartWriterTest, AFullDiskKeepsWhatIsDurable) {
  const std::string bytes = Bytes(66 * kMiB);
  {
    const auto writer = Open();
    ASSERT_OK(AppendAll(*writer, std::string_view(bytes).substr(0, 65 * kMiB)));
    file_system_.set_plan(FailOperation("write", "weights", ENOSPC));
    EXPECT_THAT(AppendAll(*writer, "x"), HasReason("DISK_FULL"));
    file_system_.set_plan(nullptr);
    EXPECT_THAT(AppendAll(*writer, "x"), HasReason("DISK_FULL"));  // given up
    EXPECT_THAT(writer->Finish(65 * kMiB, ""), HasReason("DISK_FULL"));
    EXPECT_THAT(writer->Restart(), HasReason("DISK_FULL"));
  }
  const auto writer = Open();
  EXPECT_EQ(writer->offset(), 64 * kMiB);
  ASSERT_OK(AppendAll(*writer, std::string_view(bytes).substr(64 * kMiB)));
  EXPECT_OK(writer->Finish(66 * kMiB, DigestOf(bytes)));
}

TEST_F(PartWriterTest, AFileWhoseSyncFailedIsNeverUsedAgain) {
  {
    const auto writer = Open();
    ASSERT_OK(AppendAll(*writer, std::string(64 * kMiB, 'x')));
    file_system_.set_plan(FailOperation("sync", "staging/r@1/weights", EIO));
    ASSERT_OK(AppendAll(*writer, "abc"));
    EXPECT_THAT(writer->Finish(64 * kMiB + 3, ""), HasReason("STORAGE_FAILED"));
    file_system_.set_plan(nullptr);
    EXPECT_EQ(writer->persisted(), 0);
    EXPECT_THAT(writer->Finish(64 * kMiB + 3, ""), HasReason("STORAGE_FAILED"));
  }
  EXPECT_FALSE(fs::exists(data_));
  EXPECT_FALSE(fs::exists(session_));
  EXPECT_EQ(Open()->offset(), 0);
}

TEST_F(PartWriterTest, StopsWhenTheSaveIsTakenAway) {
  const auto writer = Open();
  ASSERT_OK(AppendAll(*writer, "abc"));
  const auto claim = table_.SeizeFolder("r@1");
  ASSERT_OK(claim);
  fs::remove_all(dir_ / "staging/r@1");
  EXPECT_THAT(AppendAll(*writer, "d"), HasReason("SAVE_NOT_OPEN"));
  EXPECT_THAT(writer->Finish(3, ""), HasReason("SAVE_NOT_OPEN"));
  EXPECT_FALSE(fs::exists(dir_ / "staging/r@1"));
}

// Wherever one call fails, the writer says so or the part is right, and the next writer can go on.
TEST_F(PartWriterTest, SurvivesEveryFailure) {
  const std::string bytes = Bytes(3 * kMiB);
  const std::string digest = DigestOf(bytes);
  const auto upload = [&]() -> absl::Status {
    auto writer = TryOpen();
    if (!writer.ok()) return writer.status();
    if ((*writer)->finished().has_value()) return absl::OkStatus();
    const auto from = static_cast<size_t>((*writer)->offset());
    absl::Status sent = AppendAll(**writer, std::string_view(bytes).substr(from));
    if (!sent.ok()) return sent;
    return (*writer)->Finish(3 * kMiB, digest).status();
  };
  target_.size_hint = 4 * kMiB;
  for (int64_t k = 1;; ++k) {
    fs::remove_all(dir_ / "staging/r@1");
    file_system_.Reset();
    file_system_.set_plan(FailOnce(k, EIO));
    const absl::Status first = upload();
    const auto calls = static_cast<int64_t>(file_system_.calls().size());
    file_system_.set_plan(nullptr);
    if (calls < k) {
      EXPECT_OK(first);
      EXPECT_GT(k, 15);
      break;
    }
    ASSERT_OK(upload()) << "after call " << k << ": " << first;
    ASSERT_EQ(DigestOf(ReadFile(data_)), digest) << k;
  }
}

TEST_F(PartWriterTest, StoresContentAtOnce) {
  const std::string bytes = Bytes(9 * kMiB + 17);
  const auto writer = Open();
  const auto part = writer->Store(TestContent(bytes), DigestOf(bytes), nullptr);
  ASSERT_OK(part);
  EXPECT_EQ(part->size(), static_cast<int64_t>(bytes.size()));
  EXPECT_EQ(part->xxh3_128(), DigestOf(bytes));
  EXPECT_EQ(ReadFile(data_), bytes);
  EXPECT_EQ(writer->persisted(), static_cast<int64_t>(bytes.size()));
  EXPECT_TRUE(writer->write_mode().has_value());
  EXPECT_EQ(table_.bytes(), static_cast<int64_t>(bytes.size()));
  // As after any upload.
  const auto appended = TryOpen();
  ASSERT_OK(appended);
  EXPECT_EQ((*appended)->finished()->xxh3_128(), DigestOf(bytes));
  EXPECT_OK((*appended)->Store(TestContent(bytes), "", nullptr));
  EXPECT_THAT((*appended)->Store(TestContent("other"), "", nullptr), HasReason("SIZE_MISMATCH"));
}

TEST_F(PartWriterTest, StoringLeavesTheSameRecordAsAppending) {
  const std::string bytes = Bytes(9 * kMiB + 17);
  const auto size = static_cast<int64_t>(bytes.size());
  {
    const auto writer = Open();
    ASSERT_OK(AppendAll(*writer, bytes));
    ASSERT_OK(writer->Finish(size, ""));
  }
  const std::string appended = ReadFile(session_);
  fs::remove(data_);
  fs::remove(session_);
  ASSERT_OK(Open()->Store(TestContent(bytes), "", nullptr));
  EXPECT_EQ(ReadFile(session_), appended);
}

TEST_F(PartWriterTest, StoringReplacesWhatWasReceived) {
  ReceiveSome(Bytes(65 * kMiB));
  const auto writer = Open();
  ASSERT_OK(writer->Store(TestContent("new"), DigestOf("new"), nullptr));
  EXPECT_EQ(ReadFile(data_), "new");
}

TEST_F(PartWriterTest, ContentWithAnotherDigestIsThrownAway) {
  const auto writer = Open();
  EXPECT_THAT(writer->Store(TestContent("abc"), DigestOf("xyz"), nullptr),
              HasReason("DIGEST_MISMATCH"));
  EXPECT_EQ(writer->offset(), 0);
  EXPECT_FALSE(fs::exists(session_));
  EXPECT_OK(writer->Store(TestContent("xyz"), DigestOf("xyz"), nullptr));
}

TEST_F(PartWriterTest, ContentThatCannotBeStoredLeavesNothing) {
  struct Case {
    const char* operation;
    int error;
    const char* reason;
  };
  for (const Case& c : {Case{"write", ENOSPC, "DISK_FULL"}, Case{"write", EIO, "STORAGE_FAILED"},
                        Case{"sync", EIO, "STORAGE_FAILED"}}) {
    const auto writer = Open();
    file_system_.set_plan(FailOperation(c.operation, "r@1/weights", c.error));
    EXPECT_THAT(writer->Store(TestContent(Bytes(9 * kMiB)), "", nullptr), HasReason(c.reason));
    EXPECT_FALSE(fs::exists(data_)) << c.operation;
    EXPECT_FALSE(fs::exists(session_)) << c.operation;
    file_system_.set_plan({});
    EXPECT_THAT(writer->Store(TestContent("abc"), "", nullptr), HasReason(c.reason));
  }
  EXPECT_OK(Open()->Store(TestContent("abc"), "", nullptr));
}

}  // namespace
}  // namespace ckpt::storage
