#include "client/examples/train_digits/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace ckpt::examples {
namespace {

TEST(Random, SameSeedAndStreamGiveTheSameNumbers) {
  Random a(7, 3);
  Random b(7, 3);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.Next(), b.Next());
}

TEST(Random, SeedsAndStreamsDiffer) {
  EXPECT_NE(Random(7, 3).Next(), Random(8, 3).Next());
  EXPECT_NE(Random(7, 3).Next(), Random(7, 4).Next());
  EXPECT_NE(Random(0, 1).Next(), Random(1, 0).Next());
}

TEST(Random, UniformStaysInItsHalfOpenRangeAndFillsIt) {
  Random random(1, 0);
  double lowest = 2;
  double highest = -3;
  for (int i = 0; i < 10'000; ++i) {
    const double value = random.Uniform(-3, 2);
    lowest = std::min(lowest, value);
    highest = std::max(highest, value);
  }
  EXPECT_GE(lowest, -3);
  EXPECT_LT(highest, 2);
  EXPECT_LT(lowest, -2.9);
  EXPECT_GT(highest, 1.9);
}

TEST(Random, ShufflePermutes) {
  std::vector<int> sorted(100);
  std::iota(sorted.begin(), sorted.end(), 0);
  std::vector<int> shuffled = sorted;
  Random(1, 0).Shuffle(std::span(shuffled));
  EXPECT_NE(shuffled, sorted);
  EXPECT_THAT(shuffled, testing::UnorderedElementsAreArray(sorted));
}

TEST(Random, ShuffleOfNothingOrOneIsHarmless) {
  std::vector<int> none;
  Random(1, 0).Shuffle(std::span(none));
  std::vector<int> one = {5};
  Random(1, 0).Shuffle(std::span(one));
  EXPECT_THAT(one, testing::ElementsAre(5));
}

}  // namespace
}  // namespace ckpt::examples
