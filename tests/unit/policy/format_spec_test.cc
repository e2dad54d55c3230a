#include "server/policy/format_spec.h"

#include <gtest/gtest.h>

#include <limits>

#include "storage/base/errors.h"

namespace ckpt::policy {
namespace {

TEST(FormatSpecTest, DefaultsDependOnTheType) {
  EXPECT_EQ(ParseFormatSpec("", ValueType::kInt)->type, U'd');
  EXPECT_EQ(ParseFormatSpec("", ValueType::kFloat)->type, U'\0');
  EXPECT_EQ(ParseFormatSpec("", ValueType::kStr)->type, U's');
  EXPECT_EQ(ParseFormatSpec("", ValueType::kFloat)->align, '>');
  EXPECT_EQ(ParseFormatSpec("", ValueType::kStr)->align, '<');
}

TEST(FormatSpecTest, ReadsEveryPart) {
  const absl::StatusOr<FormatSpec> spec = ParseFormatSpec("→^+#012_.3f", ValueType::kFloat);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->fill, U'→');
  EXPECT_EQ(spec->align, '^');
  EXPECT_EQ(spec->sign, '+');
  EXPECT_TRUE(spec->alternate);
  EXPECT_EQ(spec->width, 12);
  EXPECT_EQ(spec->grouping, '_');
  EXPECT_EQ(spec->precision, 3);
  EXPECT_EQ(spec->type, U'f');
}

TEST(FormatSpecTest, AZeroBeforeTheWidthPadsBehindTheSignOfNumbers) {
  EXPECT_EQ(ParseFormatSpec("05", ValueType::kInt)->align, '=');
  EXPECT_EQ(ParseFormatSpec("05", ValueType::kInt)->fill, U'0');
  EXPECT_EQ(ParseFormatSpec("<05", ValueType::kInt)->align, '<');
  EXPECT_EQ(ParseFormatSpec("*<05", ValueType::kInt)->fill, U'*');
  EXPECT_EQ(ParseFormatSpec("05", ValueType::kStr)->align, '<');
}

TEST(FormatSpecTest, RefusesWithPythonsWords) {
  const struct {
    const char* spec;
    ValueType type;
    const char* message;
  } cases[] = {
      {"xx", ValueType::kFloat, "Invalid format specifier 'xx' for object of type 'float'"},
      {"5.", ValueType::kFloat, "Format specifier missing precision"},
      {",_", ValueType::kInt, "Cannot specify both ',' and '_'."},
      {"_,", ValueType::kInt, "Cannot specify both ',' and '_'."},
      {",x", ValueType::kInt, "Cannot specify ',' with 'x'."},
      {"_n", ValueType::kInt, "Cannot specify '_' with 'n'."},
      {",é", ValueType::kInt, "Cannot specify ',' with '\\xe9'."},
      {",", ValueType::kStr, "Cannot specify ',' with 's'."},
      {"z.2f", ValueType::kFloat, "Invalid format specifier 'z.2f' for object of type 'float'"},
  };
  for (const auto& c : cases) {
    const absl::Status status = ParseFormatSpec(c.spec, c.type).status();
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_TEMPLATE_VALUE) << c.spec;
    EXPECT_EQ(MessageOf(status), c.message);
  }
}

TEST(FormatSpecTest, HugeNumbersSaturate) {
  const auto spec = ParseFormatSpec("99999999999999999999.2147483648f", ValueType::kFloat);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->width, std::numeric_limits<int>::max());
  EXPECT_EQ(spec->precision, std::numeric_limits<int>::max());
}

TEST(FormatSpecTest, Limits) {
  EXPECT_TRUE(CheckFormatLimits("x", {.width = 32, .precision = 20}).ok());
  const absl::Status wide = CheckFormatLimits("x", {.width = 33});
  EXPECT_EQ(ReasonOf(wide), v1::ERROR_REASON_PATH_TOO_LONG);
  EXPECT_EQ(MessageOf(wide), "field '{x}' asks for width 33; the limit is 32");
  const absl::Status precise = CheckFormatLimits("x", {.precision = 21});
  EXPECT_EQ(ReasonOf(precise), v1::ERROR_REASON_PATH_TOO_LONG);
  EXPECT_EQ(MessageOf(precise), "field '{x}' asks for precision 21; the limit is 20");
}

}  // namespace
}  // namespace ckpt::policy
