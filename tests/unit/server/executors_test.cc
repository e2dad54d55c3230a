#include "server/run/executors.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

namespace ckpt::server {
namespace {

TEST(ExecutorsTest, AStrandRunsItsTasksInOrder) {
  Executors executors(4);
  SerialExecutor strand = executors.NewDiskStrand();
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) strand.Post([&order, i] { order.push_back(i); });
  executors.Stop();
  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[i], i);
}

TEST(ExecutorsTest, AFreeStrandRunsATaskOnThisThread) {
  Executors executors(1);
  SerialExecutor strand = executors.NewActorStrand();
  std::vector<int> order;
  EXPECT_TRUE(strand.TryRun([&] {
    EXPECT_FALSE(strand.TryRun([&] { order.push_back(0); })) << "one at a time";
    strand.Post([&] { order.push_back(2); });
    order.push_back(1);
  }));
  executors.Stop();
  EXPECT_EQ(order, (std::vector{1, 2}));
}

TEST(ExecutorsTest, ABusyStrandRunsNoneButItsOwn) {
  Executors executors(1);
  SerialExecutor strand = executors.NewActorStrand();
  std::promise<void> go_on;
  bool ran = false;
  strand.Post([&] { go_on.get_future().wait(); });
  EXPECT_FALSE(strand.TryRun([&] { ran = true; }));
  go_on.set_value();
  executors.Stop();
  EXPECT_FALSE(ran);
  EXPECT_TRUE(strand.TryRun([&] { ran = true; }));
  EXPECT_TRUE(ran);
}

TEST(ExecutorsTest, ManyThreadsMayUseAStrand) {
  Executors executors(1);
  SerialExecutor strand = executors.NewActorStrand();
  int sum = 0;  // guarded by the strand
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 1000; ++k) {
        if (!strand.TryRun([&] { ++sum; })) strand.Post([&] { ++sum; });
        strand.Post([&] { ++sum; });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  executors.Stop();
  EXPECT_EQ(sum, 8000);
}

TEST(ExecutorsTest, StopWaitsForTasksThatPostOthers) {
  Executors executors(2);
  SerialExecutor actor = executors.NewActorStrand();
  std::atomic<int> left = 100;
  std::function<void()> next = [&] {
    if (--left > 0) executors.PostDisk([&] { actor.Post([&] { next(); }); });
  };
  actor.Post([&] { next(); });
  executors.Stop();
  EXPECT_EQ(left, 0);
}

TEST(ExecutorsTest, HelpersLeaveTheDiskToOthers) {
  Executors executors(1);
  std::promise<void> disk;
  const std::shared_future<void> disk_ran = disk.get_future().share();
  for (int i = 0; i < 10; ++i) executors.PostHelper([disk_ran] { disk_ran.wait(); });
  executors.PostDisk([&] { disk.set_value(); });
  executors.Stop();
}

TEST(ExecutorsTest, StopDropsTimers) {
  auto held = std::make_shared<int>(0);
  {
    Executors executors(1);
    executors.PostAfter(std::chrono::hours(24), executors.NewActorStrand(),
                        [held] { FAIL() << "a day has not passed"; });
    executors.Stop();
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(ExecutorsTest, TimersRun) {
  Executors executors(1);
  std::promise<void> ran;
  executors.PostAfter(std::chrono::milliseconds(1), executors.NewDiskStrand(),
                      [&] { ran.set_value(); });
  ran.get_future().wait();
}

}  // namespace
}  // namespace ckpt::server
