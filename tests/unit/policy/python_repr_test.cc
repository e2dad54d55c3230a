#include "server/policy/python_repr.h"

#include <gtest/gtest.h>

namespace ckpt::policy {
namespace {

TEST(PythonReprTest, QuotesAndEscapes) {
  const struct {
    std::string_view text;
    const char* want;
  } cases[] = {
      {"", "''"},
      {"val/loss", "'val/loss'"},
      {"it's", "\"it's\""},
      {"say \"it's\"", "'say \"it\\'s\"'"},
      {"\"", "'\"'"},
      {"a\\b", "'a\\\\b'"},
      {"\t\n\r", "'\\t\\n\\r'"},
      {std::string_view("\0\x1b\x7f", 3), "'\\x00\\x1b\\x7f'"},
      {"é→😀", "'é→😀'"},
      {"\u00a0\u202e\U000e0001", "'\\xa0\\u202e\\U000e0001'"},
      {"\xff", "'\uFFFD'"},
  };
  for (const auto& c : cases) EXPECT_EQ(PythonRepr(c.text), c.want);
}

}  // namespace
}  // namespace ckpt::policy
