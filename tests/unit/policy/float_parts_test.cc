#include "server/policy/float_parts.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace ckpt::policy {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kLargest = std::numeric_limits<double>::max();

std::string Text(double value, const FormatSpec& spec) {
  const Parts parts = FloatParts(value, spec);
  return (parts.negative ? "-" : "") + parts.digits + parts.rest;
}

TEST(FloatPartsTest, ReprIsTheShortestThatReadsBack) {
  const struct {
    double value;
    const char* want;
  } cases[] = {
      {0, "0.0"},
      {-0.0, "-0.0"},
      {1, "1.0"},
      {0.1, "0.1"},
      {1e15, "1000000000000000.0"},
      {1e16, "1e+16"},
      {1e22, "1e+22"},
      {0.0001, "0.0001"},
      {0.00001, "1e-05"},
      {5e-324, "5e-324"},
      {1.5e300, "1.5e+300"},
      {9007199254740993.0, "9007199254740992.0"},
      {2e16 + 8, "2.000000000000001e+16"},
      {kInfinity, "inf"},
      {-kInfinity, "-inf"},
      {kNan, "nan"},
      {-kNan, "nan"},
  };
  for (const auto& c : cases) EXPECT_EQ(Text(c.value, {}), c.want);
}

TEST(FloatPartsTest, PresentationTypes) {
  const struct {
    double value;
    FormatSpec spec;
    const char* want;
  } cases[] = {
      {2.675, {.precision = 2, .type = U'f'}, "2.67"},
      {0.5, {.precision = 0, .type = U'f'}, "0"},
      {1.5, {.precision = 0, .type = U'f'}, "2"},
      {2, {.alternate = true, .precision = 0, .type = U'f'}, "2."},
      {1234.5, {.type = U'e'}, "1.234500e+03"},
      {1234.5, {.precision = 0, .type = U'E'}, "1E+03"},
      {0, {.precision = 2, .type = U'e'}, "0.00e+00"},
      {1e100, {.precision = 1, .type = U'e'}, "1.0e+100"},
      {1234567, {.type = U'g'}, "1.23457e+06"},
      {100000, {.type = U'g'}, "100000"},
      {1e-5, {.type = U'G'}, "1E-05"},
      {0.5, {.precision = 0, .type = U'g'}, "0.5"},
      {0.5, {.alternate = true, .precision = 3, .type = U'g'}, "0.500"},
      {3, {.precision = 3}, "3.0"},
      {123, {.precision = 3}, "1.23e+02"},
      {0.125, {.precision = 1, .type = U'%'}, "12.5%"},
      {kNan, {.type = U'F'}, "NAN"},
      {-kInfinity, {.type = U'%'}, "-inf%"},
      {kLargest, {.type = U'%'}, "inf%"},
  };
  for (const auto& c : cases) EXPECT_EQ(Text(c.value, c.spec), c.want);
}

TEST(FloatPartsTest, TheLongestNumberFits) {
  EXPECT_EQ(Text(-kLargest, {.precision = 20, .type = U'f'}).size(), 1 + 309 + 1 + 20);
  EXPECT_EQ(Text(5e-324, {.precision = 20, .type = U'f'}), "0.00000000000000000000");
}

}  // namespace
}  // namespace ckpt::policy
