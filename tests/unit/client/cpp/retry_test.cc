#include "client/cpp/src/retry.h"

#include <gtest/gtest.h>

#include "storage/base/errors.h"

namespace ckpt::client {
namespace {

constexpr std::chrono::hours kLong{1};
constexpr std::chrono::milliseconds kNone{0};

TEST(RetryTest, GoesOnWhileTheDaemonIsAway) {
  Retry retry(kLong);
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(retry.After(absl::UnavailableError("gone"), false).has_value());
  }
}

TEST(RetryTest, GivesUpWithoutProgress) {
  Retry retry(kNone);
  EXPECT_TRUE(retry.After(absl::UnavailableError("gone"), true).has_value());
  EXPECT_FALSE(retry.After(absl::UnavailableError("gone"), false).has_value());
}

TEST(RetryTest, DamagedBytesAreSentThreeTimesInAll) {
  Retry retry(kLong);
  EXPECT_TRUE(retry.After(ChunkCorrupt(7), true).has_value());
  EXPECT_TRUE(retry.After(DigestMismatch("weights", "", ""), true).has_value());
  EXPECT_FALSE(retry.After(ChunkCorrupt(9), true).has_value());
}

TEST(RetryTest, FinalErrorsAreFinal) {
  for (const absl::Status& error :
       {SaveNotOpen("s", "over"), LimitExceeded("part", 1, 2), Internal("bug"),
        FileError("write", "/x", ENOSPC), SizeMismatch("weights", 1, 2)}) {
    EXPECT_FALSE(Retry(kLong).After(error, true).has_value()) << error;
  }
}

}  // namespace
}  // namespace ckpt::client
