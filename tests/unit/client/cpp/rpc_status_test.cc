#include "client/cpp/src/rpc_status.h"

#include <gmock/gmock.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include "storage/base/errors.h"
#include "tests/unit/client/support/fake_daemon.h"

namespace ckpt::client {
namespace {

using ::testing::HasSubstr;

TEST(FromGrpcTest, OkIsOk) { EXPECT_TRUE(FromGrpc(grpc::Status::OK, "host:1").ok()); }

TEST(FromGrpcTest, KeepsCodeMessageReasonAndMetadata) {
  const absl::Status sent = RunNotFound("digits");
  const absl::Status got = FromGrpc(ckpt::testing::ToGrpc(sent), "host:1");
  EXPECT_EQ(got.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(got.message(), sent.message());
  EXPECT_EQ(ReasonOf(got), v1::ERROR_REASON_RUN_NOT_FOUND);
  EXPECT_EQ(MetadataOf(got).at("run"), "digits");
}

TEST(FromGrpcTest, KeepsTheReferencesWordsAsTheyAre) {
  const absl::Status got =
      FromGrpc(ckpt::testing::ToGrpc(SaveFreqInvalid("best", "weekly")), "host:1");
  EXPECT_EQ(MessageOf(got),
            "Unrecognized save_freq: weekly. Expected save_freq are \"epoch\" or integer");
}

TEST(FromGrpcTest, SaysWhichServerIsNotThereAndWhatToDo) {
  const grpc::Status refused(grpc::StatusCode::UNAVAILABLE,
                             "failed to connect to all addresses; last error: UNKNOWN: "
                             "ipv4:127.0.0.1:7070: Failed to connect to remote host: "
                             "Connection refused");
  const absl::Status got = FromGrpc(refused, "127.0.0.1:7070");
  EXPECT_TRUE(absl::IsUnavailable(got));
  EXPECT_THAT(std::string(MessageOf(got)),
              ::testing::StartsWith("no answer from ckptd at 127.0.0.1:7070 (ipv4:127.0.0.1:7070: "
                                    "Failed to connect to remote host: Connection refused)"));
  EXPECT_THAT(std::string(MessageOf(got)), HasSubstr("is ckptd running?"));
}

TEST(FromGrpcTest, ExplainsWhatTheDaemonDidNot) {
  const absl::Status late =
      FromGrpc(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "Deadline Exceeded"), "host:1");
  EXPECT_EQ(MessageOf(late), "ckptd at host:1 did not answer in time");
  const absl::Status foreign =
      FromGrpc(grpc::Status(grpc::StatusCode::UNIMPLEMENTED, ""), "host:1");
  EXPECT_THAT(std::string(MessageOf(foreign)), HasSubstr("is it a ckptd?"));
  EXPECT_FALSE(FromGrpc(grpc::Status(grpc::StatusCode::UNKNOWN, ""), "host:1").message().empty());
}

TEST(FromGrpcTest, MalformedDetailsAreNoDetails) {
  const grpc::Status odd(grpc::StatusCode::NOT_FOUND, "gone", "\xff\xff\xff");
  const absl::Status got = FromGrpc(odd, "host:1");
  EXPECT_EQ(got.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(got), v1::ERROR_REASON_UNSPECIFIED);
}

TEST(IsTransientTest, Table) {
  const std::vector<std::pair<absl::Status, bool>> table = {
      {absl::UnavailableError("refused"), true},
      {Draining(), true},
      {absl::InternalError("Received RST_STREAM with error code 2"), true},
      {absl::UnknownError("Stream removed"), true},
      {absl::CancelledError("CANCELLED"), true},
      {absl::DeadlineExceededError("late"), true},
      {UploadBusy("weights"), true},
      {Internal("a bug"), false},
      {WriterFenced("run", 0, 1, 2), false},
      {absl::AbortedError("what?"), false},
      {RunNotFound("run"), false},
      {EventInvalid(3, "no epoch"), false},
      {absl::ResourceExhaustedError("Received message larger than max (5 vs. 4)"), false},
      {absl::ResourceExhaustedError("Received RST_STREAM with error code 11"), true},
      {absl::OkStatus(), false},
  };
  for (const auto& [status, transient] : table) EXPECT_EQ(IsTransient(status), transient) << status;
}

}  // namespace
}  // namespace ckpt::client
