#include "storage/catalog/page_token.h"

#include <random>
#include <string>

#include "absl/strings/escaping.h"
#include "catalog_testing.h"
#include "gtest/gtest.h"

namespace ckpt::storage {
namespace {

TEST(PageToken, RoundTrip) {
  const std::string position("\0\x01key\xff", 6);
  const std::string token = MakePageToken({"checkpoints", "r", "id > 3", ""}, position);
  EXPECT_EQ(token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                    "0123456789-_"),
            std::string::npos);
  EXPECT_EQ(Must(ReadPageToken({"checkpoints", "r", "id > 3", ""}, token)), position);
  EXPECT_EQ(Must(ReadPageToken({"checkpoints", "r", "id > 3", ""}, "")), "");
}

TEST(PageToken, BelongsToItsQuestion) {
  const std::string token = MakePageToken({"checkpoints", "r", "ab", "c"}, "position");
  const Question others[] = {
      {"checkpoints", "r2", "ab", "c"}, {"checkpoints", "r", "a", "bc"},
      {"checkpoints", "r", "abc", ""},  {"runs", "r", "ab", "c"},
      {"checkpoints", "r", "ab"},       {},
  };
  for (const Question& other : others) {
    EXPECT_EQ(ReasonOf(ReadPageToken(other, token)), v1::ERROR_REASON_PAGE_TOKEN_INVALID);
  }
}

TEST(PageToken, RefusesWhatWasTamperedWith) {
  const std::string token = MakePageToken({"runs", ""}, "position");
  for (size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_EQ(ReasonOf(ReadPageToken({"runs", ""}, changed)), v1::ERROR_REASON_PAGE_TOKEN_INVALID)
        << i;
    EXPECT_EQ(ReasonOf(ReadPageToken({"runs", ""}, token.substr(0, std::max<size_t>(i, 1)))),
              v1::ERROR_REASON_PAGE_TOKEN_INVALID);
  }
}

TEST(PageToken, SurvivesAnyText) {
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    for (const std::string& token : {bytes, absl::WebSafeBase64Escape(bytes)}) {
      if (token.empty()) continue;
      ASSERT_EQ(ReasonOf(ReadPageToken({"runs", ""}, token)), v1::ERROR_REASON_PAGE_TOKEN_INVALID);
    }
  }
}

TEST(PageToken, PageSizes) {
  EXPECT_EQ(PageRows(-1), 100);
  EXPECT_EQ(PageRows(0), 100);
  EXPECT_EQ(PageRows(1), 1);
  EXPECT_EQ(PageRows(1000), 1000);
  EXPECT_EQ(PageRows(1001), 1000);
}

}  // namespace
}  // namespace ckpt::storage
