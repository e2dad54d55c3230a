#include "client/cpp/src/quiet_counter.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace ckpt::client {
namespace {

struct Case {
  const char* name;
  int64_t quiet;
  std::vector<int64_t> batches;
  std::vector<bool> due;
};

class QuietCounterTest : public ::testing::TestWithParam<Case> {};

TEST_P(QuietCounterTest, CountsAsTheDaemonDoes) {
  QuietCounter counter;
  counter.Count(0);  // the counter has seen a batch: it knows the previous index
  counter.Restart(GetParam().quiet);
  for (size_t i = 0; i < GetParam().batches.size(); ++i) {
    EXPECT_EQ(counter.Count(GetParam().batches[i]), GetParam().due[i]) << "batch number " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, QuietCounterTest,
    ::testing::Values(
        Case{"every_batch", 1, {1, 2, 3}, {true, true, true}},
        Case{"every_third", 3, {1, 2, 3, 4}, {false, false, true, true}},
        Case{"gaps_count_in_full", 3, {2, 3}, {false, true}},
        Case{"a_jump_over_the_end", 3, {9}, {true}},
        Case{"a_new_epoch_counts_from_its_first", 4, {2, 0, 1}, {false, false, true}},
        Case{"the_same_index_again", 4, {1, 1}, {false, false}},
        Case{"nothing_promised", 0, {1}, {true}},
        Case{"never", std::numeric_limits<int64_t>::max(), {1, int64_t{1} << 53}, {false, false}}),
    [](const auto& test) { return test.param.name; });

TEST(QuietCounterTest, AssumesTheMostWhereThePreviousBatchIsUnknown) {
  QuietCounter counter;
  counter.RestartElsewhere(8);
  EXPECT_FALSE(counter.Count(5));  // counted as 6
  EXPECT_FALSE(counter.Count(6));  // as 1
  EXPECT_TRUE(counter.Count(7));
}

TEST(QuietCounterTest, StaysDueUntilTheNextPromise) {
  QuietCounter counter;
  counter.Restart(1);
  EXPECT_TRUE(counter.Count(0));
  EXPECT_TRUE(counter.Count(1));
  counter.Restart(2);
  EXPECT_FALSE(counter.Count(2));
  EXPECT_TRUE(counter.Count(3));
}

}  // namespace
}  // namespace ckpt::client
