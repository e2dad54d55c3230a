#include "server/rpc/grpc_status.h"

#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

TEST(GrpcStatusTest, CarriesReasonAndMetadata) {
  const grpc::Status status = ToGrpcStatus(RunNotFound("digits"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), static_cast<int>(grpc::StatusCode::NOT_FOUND));
  EXPECT_EQ(details.message(), status.error_message());
  ASSERT_EQ(details.details_size(), 1);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "RUN_NOT_FOUND");
  EXPECT_EQ(info.domain(), "ckptd.local");
  EXPECT_EQ(info.metadata().at("run"), "digits");
}

TEST(GrpcStatusTest, ShuttingDownSaysWhenToTryAgain) {
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(ToGrpcStatus(Draining()).error_details()));
  ASSERT_EQ(details.details_size(), 2);
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(details.details(1).UnpackTo(&retry));
  EXPECT_GT(retry.retry_delay().seconds(), 0);
}

TEST(GrpcStatusTest, EveryReasonHasACode) {
  const auto* reasons = v1::ErrorReason_descriptor();
  for (int i = 0; i < reasons->value_count(); ++i) {
    const auto reason = static_cast<v1::ErrorReason>(reasons->value(i)->number());
    if (reason == v1::ERROR_REASON_UNSPECIFIED || reason == v1::ERROR_REASON_INTERNAL) continue;
    EXPECT_NE(CodeOf(reason), absl::StatusCode::kInternal) << reasons->value(i)->name();
  }
}

TEST(GrpcStatusTest, OkIsOk) { EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok()); }

}  // namespace
}  // namespace ckpt::server
