#include "server/policy/layout.h"

#include <gtest/gtest.h>

namespace ckpt::policy {
namespace {

TEST(LayoutTest, PadsByAlignment) {
  const Parts parts{.negative = true, .prefix = "0x", .digits = "ff"};
  EXPECT_EQ(Layout(parts, {}), "-0xff");
  EXPECT_EQ(Layout(parts, {.fill = U'*', .align = '>', .width = 8}), "***-0xff");
  EXPECT_EQ(Layout(parts, {.fill = U'*', .align = '<', .width = 8}), "-0xff***");
  EXPECT_EQ(Layout(parts, {.fill = U'*', .align = '^', .width = 8}), "*-0xff**");
  EXPECT_EQ(Layout(parts, {.fill = U'*', .align = '=', .width = 8}), "-0x***ff");
  EXPECT_EQ(Layout(parts, {.fill = U'*', .align = '>', .width = 5}), "-0xff");
}

TEST(LayoutTest, SignsOfNumbersThatAreNotNegative) {
  EXPECT_EQ(Layout({.digits = "1"}, {.sign = '+'}), "+1");
  EXPECT_EQ(Layout({.digits = "1"}, {.sign = ' '}), " 1");
  EXPECT_EQ(Layout({.digits = "1"}, {.sign = '-'}), "1");
  EXPECT_EQ(Layout({.negative = true, .digits = "1"}, {.sign = '+'}), "-1");
}

TEST(LayoutTest, WidthCountsCodePoints) {
  EXPECT_EQ(Layout({.rest = "é"}, {.fill = U'→', .align = '<', .width = 3}), "é→→");
}

// Zeros are grouped like digits, and a separator never comes first.
TEST(LayoutTest, GroupsDigitsAndPaddingZeros) {
  FormatSpec spec{.fill = U'0', .align = '=', .grouping = ','};
  const struct {
    int width;
    const char* want;
  } cases[] = {{0, "1,234"},     {5, "1,234"},     {6, "01,234"},     {7, "001,234"},
               {8, "0,001,234"}, {9, "0,001,234"}, {10, "00,001,234"}};
  for (const auto& c : cases) {
    spec.width = c.width;
    EXPECT_EQ(Layout({.digits = "1234"}, spec), c.want) << c.width;
  }
  EXPECT_EQ(Layout({.digits = "ffffff"}, {.grouping = '_', .type = U'x'}), "ff_ffff");
  EXPECT_EQ(Layout({.digits = "1234567", .rest = ".5"}, {.grouping = '_'}), "1_234_567.5");
}

TEST(LayoutTest, WithoutDigitsZerosArePadding) {
  const FormatSpec spec{.fill = U'0', .align = '=', .width = 8, .grouping = ','};
  EXPECT_EQ(Layout({.negative = true, .rest = "inf"}, spec), "-0000inf");
}

}  // namespace
}  // namespace ckpt::policy
