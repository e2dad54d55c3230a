#include "client/cpp/src/local_pool.h"

#include <gtest/gtest.h>

#include <set>

namespace ckpt::client {
namespace {

TEST(LocalPoolTest, GivesNoMoreThanItsLimit) {
  const auto pool = std::make_shared<LocalPool>(2);
  auto first = pool->Take();
  const auto second = pool->Take();
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(pool->Take(), nullptr);
  LocalSnapshot* const returned = first.get();
  first.reset();
  EXPECT_EQ(pool->Take().get(), returned);
}

TEST(LocalPoolTest, SlotsAreUsedAgainUntilTheyAreTooSmall) {
  const auto pool = std::make_shared<LocalPool>(1);
  std::unique_ptr<LocalSlot> released;
  LocalSlot* const slot = pool->Take()->Fit(0, 1 << 20, released);
  ASSERT_NE(slot, nullptr);
  const uint32_t number = slot->number();
  EXPECT_EQ(pool->Take()->Fit(0, 100, released), slot);
  EXPECT_EQ(released, nullptr);
  const LocalSlot* const larger = pool->Take()->Fit(0, (1 << 20) + 1, released);
  ASSERT_NE(larger, nullptr);
  ASSERT_NE(released, nullptr);
  EXPECT_EQ(released->number(), number);
  EXPECT_NE(larger->number(), number);
}

TEST(LocalPoolTest, NumbersDiffer) {
  const auto pool = std::make_shared<LocalPool>(2);
  pool->Reserve(2, 1000);
  std::unique_ptr<LocalSlot> released;
  std::set<uint32_t> numbers;
  const auto first = pool->Take();
  const auto second = pool->Take();
  for (const size_t place : {0, 1}) {
    numbers.insert(first->Fit(place, 1000, released)->number());
    numbers.insert(second->Fit(place, 1000, released)->number());
  }
  EXPECT_EQ(numbers.size(), 4u);
}

TEST(LocalPoolTest, ASnapshotMayOutliveThePool) {
  auto pool = std::make_shared<LocalPool>(1);
  auto snapshot = pool->Take();
  pool.reset();
  snapshot.reset();
}

TEST(LocalPoolTest, WithoutMemoryThereIsNoSlot) {
  const auto pool = std::make_shared<LocalPool>(1);
  std::unique_ptr<LocalSlot> released;
  const auto snapshot = pool->Take();
  EXPECT_EQ(snapshot->Fit(0, size_t{1} << 52, released), nullptr);
  EXPECT_NE(snapshot->Fit(0, 1, released), nullptr);
}

}  // namespace
}  // namespace ckpt::client
