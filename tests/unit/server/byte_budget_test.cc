#include "server/run/byte_budget.h"

#include <gmock/gmock.h>

#include <vector>

namespace ckpt::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(ByteBudgetTest, GrantsAtOnceWhileThereIsSome) {
  ByteBudget budget(10);
  int granted = 0;
  budget.Acquire(4, [&] { ++granted; });
  budget.Acquire(6, [&] { ++granted; });
  EXPECT_EQ(granted, 2);
  budget.Acquire(1, [&] { ++granted; });
  EXPECT_EQ(granted, 2);
  budget.Release(4);
  EXPECT_EQ(granted, 3);
}

TEST(ByteBudgetTest, NobodyOvertakes) {
  ByteBudget budget(10);
  std::vector<int> order;
  budget.Acquire(10, [] {});
  budget.Acquire(8, [&] { order.push_back(1); });
  budget.Acquire(1, [&] { order.push_back(2); });
  budget.Release(2);  // enough for the second in line, not for the first
  EXPECT_THAT(order, IsEmpty());
  budget.Release(8);
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST(ByteBudgetTest, WhoDoesNotWaitDoesNotOvertakeEither) {
  ByteBudget budget(10);
  EXPECT_TRUE(budget.TryAcquire(7));
  EXPECT_FALSE(budget.TryAcquire(4));
  bool granted = false;
  budget.Acquire(5, [&] { granted = true; });
  EXPECT_FALSE(budget.TryAcquire(3)) << "somebody waits";
  budget.Release(7);
  EXPECT_TRUE(granted);
  EXPECT_TRUE(budget.TryAcquire(5));
}

TEST(ByteBudgetTest, WhoSparesSomeLeavesIt) {
  ByteBudget budget(10);
  EXPECT_TRUE(budget.TryAcquire(3, 5));
  EXPECT_FALSE(budget.TryAcquire(3, 5));
  EXPECT_TRUE(budget.TryAcquire(2, 5));
  EXPECT_TRUE(budget.TryAcquire(5));
  EXPECT_EQ(budget.bytes(), 10);
}

TEST(ByteBudgetTest, AGrantMayReleaseAgain) {
  ByteBudget budget(1);
  int granted = 0;
  budget.Acquire(1, [&] { ++granted; });
  for (int i = 0; i < 3; ++i) {
    budget.Acquire(1, [&] {
      ++granted;
      budget.Release(1);
    });
  }
  budget.Release(1);
  EXPECT_EQ(granted, 4);
}

TEST(ByteBudgetTest, AGrantObjectReleasesOnce) {
  ByteBudget budget(2);
  int granted = 0;
  budget.Acquire(2, [] {});
  {
    ByteGrant grant(budget, 2);
    const ByteGrant moved(std::move(grant));
    budget.Acquire(2, [&] { ++granted; });
    EXPECT_EQ(granted, 0);
  }
  EXPECT_EQ(granted, 1);
  budget.Acquire(1, [&] { ++granted; });
  EXPECT_EQ(granted, 1);  // the two bytes came back once
}

}  // namespace
}  // namespace ckpt::server
