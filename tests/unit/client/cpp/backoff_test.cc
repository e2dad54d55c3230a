#include "client/cpp/src/backoff.h"

#include <gtest/gtest.h>

#include <set>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include "storage/base/errors.h"

namespace ckpt::client {
namespace {

using std::chrono::milliseconds;

absl::Status WithRetryInfo(int64_t seconds, int32_t nanos) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(seconds);
  info.mutable_retry_delay()->set_nanos(nanos);
  absl::Status status = Draining();
  status.SetPayload("type.googleapis.com/google.rpc.RetryInfo",
                    absl::Cord(info.SerializeAsString()));
  return status;
}

TEST(BackoffTest, DoublesWithJitterUpToHalfASecond) {
  const absl::Status error = absl::UnavailableError("gone");
  for (uint32_t seed = 0; seed < 20; ++seed) {
    Backoff backoff(seed);
    for (const int step : {50, 100, 200, 400, 500, 500, 500}) {
      const milliseconds pause = backoff.Next(error);
      EXPECT_GE(pause, milliseconds(step / 2));
      EXPECT_LE(pause, milliseconds(step));
    }
  }
}

TEST(BackoffTest, TrainersDoNotComeBackAtOnce) {
  std::set<milliseconds> pauses;
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    Backoff backoff(seed);
    for (int i = 0; i < 5; ++i) backoff.Next(absl::OkStatus());
    pauses.insert(backoff.Next(absl::OkStatus()));
  }
  EXPECT_GT(pauses.size(), 10u);
}

TEST(BackoffTest, StartsOverAfterASuccess) {
  Backoff backoff;
  for (int i = 0; i < 8; ++i) backoff.Next(absl::OkStatus());
  backoff.Reset();
  EXPECT_LE(backoff.Next(absl::OkStatus()), milliseconds(50));
}

TEST(BackoffTest, HonoursTheDaemonsWishWithinReason) {
  EXPECT_EQ(Backoff().Next(WithRetryInfo(3, 500'000'000)), milliseconds(3500));
  EXPECT_EQ(Backoff().Next(WithRetryInfo(86'400, 0)), milliseconds(60'000));
  EXPECT_GE(Backoff().Next(WithRetryInfo(0, 0)), milliseconds(25));
}

}  // namespace
}  // namespace ckpt::client
