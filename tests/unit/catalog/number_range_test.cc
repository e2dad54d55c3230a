#include "storage/catalog/number_range.h"

#include <cmath>
#include <optional>
#include <string>

#include "catalog_testing.h"
#include "gtest/gtest.h"

namespace ckpt::storage {
namespace {

TEST(NumberRangeTest, RangeOf) {
  const struct {
    const char* filter;
    std::optional<NumberRange> id;
    std::optional<NumberRange> metric;  // metrics.m
  } kCases[] = {
      {"", {}, {}},
      {"epoch > 3", {}, {}},
      {"id > 3", {{3, INFINITY}}, {}},
      {"id >= 3 AND id < 7.5", {{3, 7.5}}, {}},
      {"id = 5 AND id > 2", {{5, 5}}, {}},
      {"id > 9 AND id < 1", {{9, 1}}, {}},
      {"id != 3", {}, {}},
      {"metrics.m <= -1", {}, {{-INFINITY, -1}}},
      {"metrics.n <= -1", {}, {}},
      {"metrics.m = nan", {}, {}},
      {"metrics.m < nan AND metrics.m > 2", {}, {{2, INFINITY}}},
      {"id < 4 AND metrics.m > 1 AND metrics.m < 2", {{-INFINITY, 4}}, {{1, 2}}},
  };
  const auto text = [](const std::optional<NumberRange>& range) {
    return range.has_value() ? std::to_string(range->low) + ".." + std::to_string(range->high) : "";
  };
  for (const auto& c : kCases) {
    const Filter filter = Must(ParseFilter(c.filter, CheckpointFields()));
    EXPECT_EQ(text(RangeOf(filter, FieldId::kId)), text(c.id)) << c.filter;
    EXPECT_EQ(text(RangeOf(filter, FieldId::kMetrics, "m")), text(c.metric)) << c.filter;
  }
}

TEST(NumberRangeTest, RangedMetric) {
  const struct {
    const char* filter;
    const char* metric;  // empty: none
  } kCases[] = {
      {"", ""},
      {"id > 3", ""},
      {"metrics.a != 1", ""},
      {"metrics.a = nan", ""},
      {"metrics.a != 1 AND metrics.b > 2 AND metrics.c < 3", "b"},
      {"metrics.a != 1 AND metrics.a > 0", "a"},
  };
  for (const auto& c : kCases) {
    const Filter filter = Must(ParseFilter(c.filter, CheckpointFields()));
    const FieldRef* found = RangedMetric(filter);
    EXPECT_EQ(found == nullptr ? "" : found->key, c.metric) << c.filter;
  }
}

}  // namespace
}  // namespace ckpt::storage
