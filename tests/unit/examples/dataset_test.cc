#include "client/examples/train_digits/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace ckpt::examples {
namespace {

using ::testing::HasSubstr;

// A line of 64 times `pixel`, and `label`.
std::string Line(const std::string& pixel, const std::string& label) {
  std::string line;
  for (size_t i = 0; i < kPixels; ++i) line += pixel + ",";
  return line + label + "\n";
}

std::vector<float> Pixels(const Dataset& data, size_t index) {
  const auto image = data.image(index);
  return {image.begin(), image.end()};
}

TEST(ParseDigits, ScalesPixelsAndKeepsLabels) {
  const auto data = ParseDigits(Line("0", "3") + Line("4", "0") + Line("16", "9"), "test");
  ASSERT_TRUE(data.ok()) << data.status();
  ASSERT_EQ(data->size(), 3U);
  EXPECT_EQ(Pixels(*data, 0), std::vector<float>(kPixels, 0.0F));
  EXPECT_EQ(Pixels(*data, 1), std::vector<float>(kPixels, 0.25F));
  EXPECT_EQ(Pixels(*data, 2), std::vector<float>(kPixels, 1.0F));
  EXPECT_EQ(data->label(0), 3);
  EXPECT_EQ(data->label(1), 0);
  EXPECT_EQ(data->label(2), 9);
}

TEST(ParseDigits, AcceptsCarriageReturnsAndNoNewlineAtTheEnd) {
  std::string csv = Line("1", "1") + Line("2", "2");
  csv.insert(csv.find('\n'), "\r");
  csv.pop_back();
  const auto data = ParseDigits(csv, "test");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->size(), 2U);
  EXPECT_EQ(data->label(1), 2);
}

TEST(ParseDigits, NamesWhatIsWrongAndWhere) {
  const std::string good = Line("1", "1");
  const struct {
    std::string csv;
    std::string message;
  } kCases[] = {
      {"", "test: fewer than 2 images"},
      {good, "test: fewer than 2 images"},
      {good + "1,2,3\n", "test:2: 3 columns instead of 65"},
      {good + "\n" + good, "test:2: 1 columns instead of 65"},
      {good + "0," + good, "test:2: 66 columns instead of 65"},
      {Line("17", "1"), "test:1: column 1: '17' is no whole number from 0 to 16"},
      {Line("-1", "1"), "test:1: column 1: '-1' is no whole number from 0 to 16"},
      {Line("1.5", "1"), "test:1: column 1: '1.5' is no whole number from 0 to 16"},
      {Line("", "1"), "test:1: column 1: '' is no whole number from 0 to 16"},
      {Line("1", "10"), "test:1: column 65: '10' is no whole number from 0 to 9"},
      {Line("1", "x"), "test:1: column 65: 'x' is no whole number from 0 to 9"},
      {Line("99999999999999999999", "1"),
       "test:1: column 1: '99999999999999999999' is no whole number from 0 to 16"},
  };
  for (const auto& test_case : kCases) {
    const auto data = ParseDigits(test_case.csv, "test");
    EXPECT_EQ(data.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(std::string(data.status().message()), test_case.message);
  }
}

TEST(LoadDigits, ReadsTheShippedFile) {
  const auto data = LoadDigits(DIGITS_CSV);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->size(), 1797U);
}

TEST(LoadDigits, SaysWhichFileIsMissing) {
  for (const std::string path : {"/nowhere/digits.csv", "/"}) {
    const auto data = LoadDigits(path);
    EXPECT_TRUE(absl::IsNotFound(data.status())) << data.status();
    EXPECT_THAT(std::string(data.status().message()), HasSubstr(path));
  }
}

// Every image once, with how often each label occurs as a check on the pairing.
std::map<std::pair<std::vector<float>, int>, int> Count(const Dataset& data) {
  std::map<std::pair<std::vector<float>, int>, int> count;
  for (size_t i = 0; i < data.size(); ++i) ++count[{Pixels(data, i), data.label(i)}];
  return count;
}

TEST(SplitForValidation, SharesEveryImageOut) {
  const auto all = LoadDigits(DIGITS_CSV);
  ASSERT_TRUE(all.ok()) << all.status();
  const Split split = SplitForValidation(*all, 1);
  EXPECT_EQ(split.validation.size(), 359U);
  EXPECT_EQ(split.train.size(), 1438U);
  auto count = Count(split.train);
  for (const auto& [image, times] : Count(split.validation)) count[image] += times;
  EXPECT_EQ(count, Count(*all));
}

TEST(SplitForValidation, FollowsFromTheSeed) {
  const auto all = LoadDigits(DIGITS_CSV);
  ASSERT_TRUE(all.ok()) << all.status();
  const auto first = [&](uint64_t seed) {
    return Pixels(SplitForValidation(*all, seed).validation, 0);
  };
  EXPECT_EQ(first(1), first(1));
  EXPECT_NE(first(1), first(2));
}

TEST(SplitForValidation, LeavesOneImageForEachSideOfTwo) {
  const auto all = ParseDigits(Line("1", "1") + Line("2", "2"), "test");
  ASSERT_TRUE(all.ok()) << all.status();
  const Split split = SplitForValidation(*all, 1);
  EXPECT_EQ(split.validation.size(), 1U);
  EXPECT_EQ(split.train.size(), 1U);
}

}  // namespace
}  // namespace ckpt::examples
