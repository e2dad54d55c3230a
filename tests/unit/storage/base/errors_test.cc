#include "storage/base/errors.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "google/rpc/error_details.pb.h"
#include "tests/unit/storage/testing/matchers.h"

namespace ckpt {
namespace {

using absl::StatusCode;

TEST(ErrorsTest, CarryReasonDomainAndMetadata) {
  const absl::Status status = RunNotFound("r1");
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_RUN_NOT_FOUND);
  EXPECT_EQ(MetadataOf(status), (ErrorMetadata{{"run", "r1"}}));
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(info.ParseFromString(std::string(*status.GetPayload(kErrorInfoUrl))));
  EXPECT_EQ(info.domain(), "ckptd.local");
  EXPECT_EQ(info.reason(), "RUN_NOT_FOUND");
}

TEST(ErrorsTest, OtherStatusesHaveNoReason) {
  EXPECT_EQ(ReasonOf(absl::OkStatus()), v1::ERROR_REASON_UNSPECIFIED);
  EXPECT_EQ(ReasonOf(absl::InternalError("x")), v1::ERROR_REASON_UNSPECIFIED);
  EXPECT_TRUE(MetadataOf(absl::InternalError("x")).empty());
  absl::Status garbage = absl::InternalError("x");
  garbage.SetPayload(kErrorInfoUrl, absl::Cord("\xff\xff"));
  EXPECT_EQ(ReasonOf(garbage), v1::ERROR_REASON_UNSPECIFIED);
}

// A protobuf string must be UTF-8; file names and arguments need not be.
TEST(ErrorsTest, MetadataIsUtf8) {
  EXPECT_EQ(MetadataOf(RunNotFound("r\xff")), (ErrorMetadata{{"run", "r\xef\xbf\xbd"}}));
}

TEST(AnnotateTest, PutsContextBeforeTheMessageAndKeepsTheRest) {
  const absl::Status status = Annotate(DiskFull("no room"), "saving");
  EXPECT_EQ(MessageOf(status), "saving: no room");
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(status, HasReason("DISK_FULL"));
  EXPECT_OK(Annotate(absl::OkStatus(), "saving"));
}

TEST(FileErrorTest, TellsAFullDiskFromABrokenOne) {
  const struct {
    int error;
    const char* reason;
  } cases[] = {{ENOSPC, "DISK_FULL"},
               {EDQUOT, "DISK_FULL"},
               {EIO, "STORAGE_FAILED"},
               {ENOENT, "STORAGE_FAILED"}};
  for (const auto& c : cases) {
    const absl::Status status = FileError("write", "/a/b", c.error);
    EXPECT_THAT(status, HasReason(c.reason)) << c.error;
    EXPECT_THAT(status, HasErrno(c.error));
    EXPECT_THAT(status, Says("write '/a/b': "));
  }
}

TEST(CodeOfTest, IsTheOneDocumentedWithTheReason) {
  const struct {
    v1::ErrorReason reason;
    StatusCode code;
  } cases[] = {
      {v1::ERROR_REASON_ALIAS_UNRESOLVED, StatusCode::kNotFound},
      {v1::ERROR_REASON_PART_NOT_FOUND, StatusCode::kNotFound},
      {v1::ERROR_REASON_FIELD_INVALID, StatusCode::kInvalidArgument},
      {v1::ERROR_REASON_PATH_ESCAPES, StatusCode::kInvalidArgument},
      {v1::ERROR_REASON_RUN_EXISTS, StatusCode::kAlreadyExists},
      {v1::ERROR_REASON_SAVE_NOT_OPEN, StatusCode::kFailedPrecondition},
      {v1::ERROR_REASON_DIGEST_MISMATCH, StatusCode::kFailedPrecondition},
      {v1::ERROR_REASON_VERSION_TOO_NEW, StatusCode::kFailedPrecondition},
      {v1::ERROR_REASON_OFFSET_MISMATCH, StatusCode::kOutOfRange},
      {v1::ERROR_REASON_UPLOAD_BUSY, StatusCode::kAborted},
      {v1::ERROR_REASON_DISK_FULL, StatusCode::kResourceExhausted},
      {v1::ERROR_REASON_BLOB_CORRUPT, StatusCode::kDataLoss},
      {v1::ERROR_REASON_INDEX_DAMAGED, StatusCode::kDataLoss},
      {v1::ERROR_REASON_STORAGE_FAILED, StatusCode::kUnavailable},
      {v1::ERROR_REASON_UNSUPPORTED, StatusCode::kUnimplemented},
      {v1::ERROR_REASON_INTERNAL, StatusCode::kInternal},
  };
  for (const auto& c : cases) EXPECT_EQ(CodeOf(c.reason), c.code) << v1::ErrorReason_Name(c.reason);
}

TEST(ErrorsTest, NameWhatIsWrongAndWhatToDo) {
  EXPECT_THAT(DataDirInUse("/data", 42), Says("/data"));
  EXPECT_THAT(DataDirInUse("/data", 42), Says("pid 42"));
  EXPECT_EQ(MetadataOf(DataDirInUse("/data", 42)).at("pid"), "42");
  EXPECT_THAT(VersionTooNew("data", 7, 1), Says("format version 7"));
  EXPECT_EQ(MetadataOf(OffsetMismatch(10, 20)).at("expected_offset"), "10");
}

}  // namespace
}  // namespace ckpt
