#include "storage/catalog/query_scanner.h"

#include <string>

#include "catalog_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ckpt::storage {
namespace {

using ::testing::HasSubstr;

TEST(QueryScanner, ReadsWordByWord) {
  QueryScanner scanner("filter", " loss_1<= -1.5e+3\t\"a\\\"b\\\\c\" ");
  EXPECT_EQ(scanner.position(), 1u);
  EXPECT_EQ(scanner.TakeName(), "loss_1");
  EXPECT_FALSE(scanner.Take("<>"));
  EXPECT_TRUE(scanner.Take("<="));
  EXPECT_EQ(scanner.TakeName(), "");
  EXPECT_EQ(scanner.TakeNumber(), "-1.5e+3");
  EXPECT_TRUE(scanner.AtQuote());
  EXPECT_FALSE(scanner.AtEnd());
  EXPECT_EQ(Must(scanner.TakeQuoted()), "a\"b\\c");
  EXPECT_TRUE(scanner.AtEnd());
  EXPECT_EQ(scanner.TakeName(), "");
}

TEST(QueryScanner, RefusesBadQuotes) {
  const struct {
    const char* text;
    const char* position;
    const char* what;
  } cases[] = {
      {"x", "0", "expected text in double quotes"},
      {" \"abc", "1", "not closed"},
      {"\"abc\\", "4", "expected \\\" or \\\\"},
      {"\"a\\n\"", "2", "expected \\\" or \\\\"},
  };
  for (const auto& test : cases) {
    const auto quoted = QueryScanner("filter", test.text).TakeQuoted();
    EXPECT_EQ(ReasonOf(quoted), v1::ERROR_REASON_QUERY_INVALID) << test.text;
    EXPECT_EQ(MetadataOf(quoted.status()).at("position"), test.position) << test.text;
    EXPECT_THAT(std::string(MessageOf(quoted.status())), HasSubstr(test.what));
  }
}

TEST(QueryScanner, LimitsTheText) {
  EXPECT_TRUE(QueryScanner("filter", std::string(4096, 'x')).CheckText().ok());
  // Cut in the middle of a character, which the message must not show.
  std::string text = "x";
  while (text.size() < 4097) text += "\xc3\xa9";
  const absl::Status status = QueryScanner("filter", text).CheckText();
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_QUERY_INVALID);
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("\xc3\xa9...'"));
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("it has 4097 bytes, 4096 are allowed"));
  EXPECT_LT(MessageOf(status).size(), 300u);
}

TEST(QueryScanner, TakesUtf8Only) {
  for (const char* good : {"", "a\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                           "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(QueryScanner("filter", good).CheckText().ok()) << good;
  }
  for (const std::string bad :
       {"\x80", "\xc1\xbf", "\xc3", "\xc3(", "\xe0\x9f\xbf", "\xe2\x82", "\xe2\x82(",
        "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"}) {
    const std::string text = "\xc3\xa9" + bad;
    const absl::Status status = QueryScanner("filter", text).CheckText();
    ASSERT_EQ(ReasonOf(status), v1::ERROR_REASON_QUERY_INVALID) << bad;
    EXPECT_EQ(MetadataOf(status).at("position"), "2") << bad;
    EXPECT_EQ(MetadataOf(status).at("value"), "\xc3\xa9") << bad;
  }
}

TEST(QueryScanner, RefusesNul) {
  const absl::Status status = QueryScanner("filter", std::string_view("a\0b", 3)).CheckText();
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_QUERY_INVALID);
  EXPECT_EQ(MetadataOf(status).at("position"), "1");
}

}  // namespace
}  // namespace ckpt::storage
