#include "storage/base/utf8.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ckpt {
namespace {

std::vector<char32_t> CodePoints(std::string_view text) {
  std::vector<char32_t> code_points;
  while (!text.empty()) code_points.push_back(TakeCodePoint(text));
  return code_points;
}

TEST(Utf8Test, EveryScalarValueSurvivesTheRoundTrip) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (!IsScalarValue(c)) continue;
    std::string text;
    AppendUtf8(c, text);
    ASSERT_EQ(CountCodePoints(text), 1) << static_cast<uint32_t>(c);
    std::string_view rest = text;
    ASSERT_EQ(TakeCodePoint(rest), c);
    ASSERT_TRUE(rest.empty()) << static_cast<uint32_t>(c);
  }
}

TEST(Utf8Test, WhatIsNotUtf8ReadsAsReplacements) {
  const char32_t r = 0xFFFD;
  struct Case {
    const char* name;
    std::string_view text;
    std::vector<char32_t> want;
  };
  const Case cases[] = {
      {"lone continuation", "\x80", {r}},
      {"cut short", "a\xc3", {U'a', r}},
      {"cut short by another character", "\xe2\x82z", {r, r, U'z'}},
      {"overlong", "\xc0\xaf", {r, r}},
      {"overlong in three bytes", "\xe0\x80\xaf", {r, r, r}},
      {"surrogate", "\xed\xa0\x80", {r, r, r}},
      {"beyond Unicode", "\xf4\x90\x80\x80", {r, r, r, r}},
      {"no lead byte", "\xff", {r}},
  };
  for (const Case& c : cases) EXPECT_EQ(CodePoints(c.text), c.want) << c.name;
}

TEST(Utf8Test, PrefixEndsBetweenCodePoints) {
  EXPECT_EQ(Utf8Prefix("abc", 3), "abc");
  EXPECT_EQ(Utf8Prefix("abc", 2), "ab");
  EXPECT_EQ(Utf8Prefix("aé", 2), "a");
  EXPECT_EQ(Utf8Prefix("😀", 3), "");
  EXPECT_EQ(Utf8Prefix("😀é", 5), "😀");
}

TEST(Utf8Test, WhatIsNotUtf8IsReplaced) {
  EXPECT_EQ(ToUtf8(""), "");
  EXPECT_EQ(ToUtf8("a\xc3\xa9"), "a\xc3\xa9");
  EXPECT_EQ(ToUtf8("a\xff"), "a\xef\xbf\xbd");
  EXPECT_EQ(ToUtf8("\xc3"), "\xef\xbf\xbd");
}

}  // namespace
}  // namespace ckpt
