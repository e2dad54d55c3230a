#include "server/run/pace.h"

#include <gtest/gtest.h>

#include <chrono>

namespace ckpt::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

TEST(Pace, WaitsForWhatIsAheadOfTheRate) {
  const auto before = steady_clock::now();
  const Pace pace(1 << 20);
  for (const int64_t mib : {100, 10'000, 1'000'000'000}) {
    const std::chrono::seconds due(mib);
    const milliseconds wait = pace.Wait(mib << 20);
    EXPECT_LE(wait, due);
    const auto passed = std::chrono::ceil<milliseconds>(steady_clock::now() - before);
    EXPECT_GE(wait, due - passed);
  }
}

TEST(Pace, WaitsForNothingWhereItIsBehind) {
  EXPECT_EQ(Pace(1).Wait(0), milliseconds(0));
  EXPECT_EQ(Pace(int64_t{1} << 40).Wait(1), milliseconds(0));
}

}  // namespace
}  // namespace ckpt::server
