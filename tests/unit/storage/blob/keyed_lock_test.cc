#include "storage/blob/keyed_lock.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <vector>

namespace ckpt::storage {
namespace {

TEST(KeyedLockTest, DifferentKeysDoNotWaitForEachOther) {
  KeyedLock locks;
  const auto a = locks.Lock("a");
  const auto b = locks.Lock("b");
}

TEST(KeyedLockTest, OneKeyIsHeldByOneAtATime) {
  KeyedLock locks;
  int value = 0;  // a race, were it not for the lock
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) {
        const auto lock = locks.Lock("key");
        const int seen = value;
        std::this_thread::yield();
        value = seen + 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(value, 4000);
}

}  // namespace
}  // namespace ckpt::storage
