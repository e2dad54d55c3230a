#include "storage/catalog/key_encoding.h"

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "storage/base/digest.h"

namespace ckpt::storage {
namespace {

using std::string_literals::operator""s;
constexpr double kInf = std::numeric_limits<double>::infinity();

std::string Encoded(double value) {
  std::string key;
  AppendDouble(key, value);
  return key;
}

TEST(KeyEncoding, GoldenKeys) {
  const struct {
    std::string key;
    const char* hex;
  } cases[] = {
      {RunPrefix("r1"), "723100"},
      {RunKey("r1", RunRow::kRun), "72310001"},
      {RunKey("r1", RunRow::kProgress), "72310002"},
      {RunKey("r1", RunRow::kStats), "72310003"},
      {MetricNameKey("r1", 258), "7231000400000102"},
      {CheckpointKey("r1", 1), "7231000000000000000001"},
      {CheckpointKey("r1", 0x0102030405060708), "7231000102030405060708"},
      {NameKey("r1", "a/b.ckpt"), "723100612f622e636b7074"},
      {RankingPrefix("r1", "val/loss"), "72310076616c2f6c6f737300"},
      {RankingKey("r1", "m", 1.0, 7), "7231006d00bff00000000000000000000000000007"},
      {RankingKey("r1", "m", -1.0, 7), "7231006d00400fffffffffffff0000000000000007"},
      {EventPrefix("r1", 3), "72310000000003"},
      {EventKey("r1", 3, 9), "723100000000030000000000000009"},
      {HistoryPrefix("r1", HistoryRow::kState, 3), "7231000100000003"},
      {HistoryPrefix("r1", HistoryRow::kEvents, 3), "7231000200000003"},
      {SeriesPrefix("r1", HistoryRow::kValues, 3, 258), "723100030000000300000102"},
      {SeriesPrefix("r1", HistoryRow::kSummary, 3, 258), "723100040000000300000102"},
  };
  for (const auto& test : cases) EXPECT_EQ(Hex(test.key), test.hex);
}

TEST(KeyEncoding, GoldenDoubles) {
  const struct {
    double value;
    const char* hex;
  } cases[] = {
      {-kInf, "000fffffffffffff"},
      {std::numeric_limits<double>::lowest(), "0010000000000000"},
      {-1.0, "400fffffffffffff"},
      {-std::numeric_limits<double>::denorm_min(), "7ffffffffffffffe"},
      {-0.0, "8000000000000000"},
      {0.0, "8000000000000000"},
      {std::numeric_limits<double>::denorm_min(), "8000000000000001"},
      {1.0, "bff0000000000000"},
      {std::numeric_limits<double>::max(), "ffefffffffffffff"},
      {kInf, "fff0000000000000"},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(Hex(Encoded(test.value)), test.hex) << test.value;
    EXPECT_EQ(DecodeDouble(Encoded(test.value)), test.value);
  }
}

// Any bits but NaN: all magnitudes, both signs, denormals, infinities.
std::vector<double> AnyDoubles(int count) {
  std::mt19937_64 random(1);
  std::vector<double> values = {-kInf, kInf, 0.0, -0.0, 1.0, -1.0};
  while (std::ssize(values) < count) {
    const auto value = std::bit_cast<double>(random());
    if (!std::isnan(value)) values.push_back(value);
    values.push_back(std::nextafter(values.back(), kInf));
  }
  return values;
}

TEST(KeyEncoding, BytesOrderAsDoublesDo) {
  const std::vector<double> values = AnyDoubles(600);
  for (const double a : values) {
    ASSERT_EQ(DecodeDouble(Encoded(a)), a);
    for (const double b : values) {
      ASSERT_EQ(Encoded(a) < Encoded(b), a < b) << a << " " << b;
      ASSERT_EQ(Encoded(a) == Encoded(b), a == b) << a << " " << b;
    }
  }
}

TEST(KeyEncoding, BytesOrderAsIntegersDo) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 1000; ++i) {
    const uint64_t a = random() >> (random() % 64);
    const uint64_t b = random() >> (random() % 64);
    EXPECT_EQ(CheckpointKey("r", a) < CheckpointKey("r", b), a < b);
    std::string encoded;
    AppendU64(encoded, a);
    EXPECT_EQ(DecodeU64(encoded), a);
    encoded.clear();
    AppendU32(encoded, static_cast<uint32_t>(a));
    EXPECT_EQ(DecodeU32(encoded), static_cast<uint32_t>(a));
  }
}

// A run's rows are together, and before those of every run whose id it begins.
TEST(KeyEncoding, RunsDoNotMix) {
  const uint64_t largest = std::numeric_limits<uint64_t>::max();
  EXPECT_LT(CheckpointKey("a", largest), CheckpointKey("a-", 1));
  EXPECT_LT(CheckpointKey("a-", largest), CheckpointKey("aa", 1));
  EXPECT_LT(RankingKey("a", "m", kInf, largest), RankingKey("a", "mm", -kInf, 1));
}

TEST(KeyEncoding, PrefixEndIsTheFirstKeyBeyond) {
  EXPECT_EQ(PrefixEnd("a\0"s), "a\x01");
  EXPECT_EQ(PrefixEnd("a\x7f"), "a\x80");
  EXPECT_EQ(PrefixEnd("a\xff\xff"), "b");
  EXPECT_EQ(PrefixEnd("\xff"), "");
  EXPECT_EQ(PrefixEnd(""), "");
}

TEST(KeyEncoding, SplitsRunKeys) {
  const std::string key = CheckpointKey("run-1", 5);
  const auto parts = SplitRunKey(key);
  ASSERT_TRUE(parts.has_value());
  EXPECT_EQ(parts->run, "run-1");
  EXPECT_EQ(Hex(parts->rest), "0000000000000005");
  EXPECT_FALSE(SplitRunKey("no terminator").has_value());
  EXPECT_FALSE(SplitRunKey("\0no run"s).has_value());
  EXPECT_FALSE(SplitRunKey("").has_value());
}

TEST(KeyEncoding, ParsesCheckpointIds) {
  EXPECT_EQ(ParseCheckpointId("1"), 1u);
  EXPECT_EQ(ParseCheckpointId("18446744073709551615"), std::numeric_limits<uint64_t>::max());
  for (const char* bad :
       {"", "0", "01", "-1", "+1", "1 ", " 1", "1x", "best", "1.0", "18446744073709551616"}) {
    EXPECT_FALSE(ParseCheckpointId(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace ckpt::storage
