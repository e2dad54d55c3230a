#include "server/policy/format_number.h"

#include <gtest/gtest.h>

#include <limits>

#include "storage/base/errors.h"

namespace ckpt::policy {
namespace {

constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();

MetricValue Int(int64_t value) { return {static_cast<double>(value), true, value}; }
MetricValue Float(double value) { return {.number = value}; }

TEST(FormatNumberTest, WholeNumbers) {
  const struct {
    int64_t value;
    FormatSpec spec;
    const char* want;
  } cases[] = {
      {7, {.type = U'd'}, "7"},
      {7, {.type = U'n'}, "7"},
      {-5, {.type = U'b'}, "-101"},
      {8, {.alternate = true, .type = U'o'}, "0o10"},
      {255, {.alternate = true, .type = U'X'}, "0XFF"},
      {-255, {.alternate = true, .type = U'x'}, "-0xff"},
      {7, {.alternate = true, .type = U'd'}, "7"},
      {kLeast, {.type = U'd'}, "-9223372036854775808"},
      {kLeast, {.type = U'x'}, "-8000000000000000"},
      {0x1F600, {.type = U'c'}, "😀"},
      {3, {.precision = 2, .type = U'f'}, "3.00"},
      {3, {.type = U'%'}, "300.000000%"},
  };
  for (const auto& c : cases) {
    const auto text = FormatNumber(Int(c.value), c.spec);
    ASSERT_TRUE(text.ok()) << text.status();
    EXPECT_EQ(*text, c.want);
  }
}

TEST(FormatNumberTest, RefusesWithPythonsWords) {
  const struct {
    MetricValue value;
    FormatSpec spec;
    const char* message;
  } cases[] = {
      {Float(1), {.type = U'd'}, "Unknown format code 'd' for object of type 'float'"},
      {Float(1), {.type = U'é'}, "Unknown format code '\\xe9' for object of type 'float'"},
      {Int(1), {.type = U's'}, "Unknown format code 's' for object of type 'int'"},
      {Int(1), {.precision = 2, .type = U'd'}, "Precision not allowed in integer format specifier"},
      {Int(1), {.sign = '+', .type = U'c'}, "Sign not allowed with integer format specifier 'c'"},
      {Int(1),
       {.alternate = true, .type = U'c'},
       "Alternate form (#) not allowed with integer format specifier 'c'"},
      {Int(-1), {.type = U'c'}, "%c arg not in range(0x110000)"},
      {Int(0x110000), {.type = U'c'}, "%c arg not in range(0x110000)"},
      {Int(0xD800), {.type = U'c'}, "%c arg is a surrogate, which no file name can hold"},
  };
  for (const auto& c : cases) {
    const absl::Status status = FormatNumber(c.value, c.spec).status();
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_TEMPLATE_VALUE) << c.message;
    EXPECT_EQ(MessageOf(status), c.message);
  }
}

TEST(FormatNumberTest, Text) {
  const FormatSpec spec{.fill = U'*', .align = '^', .width = 5, .precision = 2, .type = U's'};
  EXPECT_EQ(*FormatText("0.125", spec), "*0.**");
  const struct {
    FormatSpec spec;
    const char* message;
  } cases[] = {
      {{.type = U'f'}, "Unknown format code 'f' for object of type 'str'"},
      {{.sign = ' ', .type = U's'}, "Space not allowed in string format specifier"},
      {{.sign = '+', .type = U's'}, "Sign not allowed in string format specifier"},
      {{.alternate = true, .type = U's'},
       "Alternate form (#) not allowed in string format specifier"},
      {{.align = '=', .type = U's'}, "'=' alignment not allowed in string format specifier"},
  };
  for (const auto& c : cases) EXPECT_EQ(MessageOf(FormatText("x", c.spec).status()), c.message);
}

TEST(FormatNumberTest, Repr) {
  EXPECT_EQ(PythonNumber(Int(3)), "3");
  EXPECT_EQ(PythonNumber(Float(3)), "3.0");
  EXPECT_EQ(PythonFloat(2.5), "2.5");
}

TEST(FormatNumberTest, FiveDecimals) {
  EXPECT_EQ(FiveDecimals(0.4999999), "0.50000");
  EXPECT_EQ(FiveDecimals(-0.0), "-0.00000");
  EXPECT_EQ(FiveDecimals(-std::numeric_limits<double>::infinity()), "-inf");
}

}  // namespace
}  // namespace ckpt::policy
