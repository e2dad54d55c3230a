#include "storage/history/column_block.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/digest.h"

namespace ckpt::storage {
namespace {

using testing::ElementsAreArray;
using testing::SizeIs;

constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string BlockOf(const std::vector<int64_t>& values) {
  BlockWriter writer;
  writer.AddIntegers(values);
  return std::move(writer).Finish();
}

std::string BlockOf(const std::vector<double>& values) {
  BlockWriter writer;
  writer.AddDoubles(values);
  return std::move(writer).Finish();
}

std::vector<uint64_t> BitsOf(const std::vector<double>& values) {
  std::vector<uint64_t> bits;
  for (const double value : values) bits.push_back(std::bit_cast<uint64_t>(value));
  return bits;
}

void ExpectRoundTrip(const std::vector<int64_t>& values) {
  const std::string block = BlockOf(values);
  auto reader = BlockReader::Open(block);
  ASSERT_TRUE(reader.has_value());
  std::vector<int64_t> read = {1, 2, 3};
  ASSERT_TRUE(reader->ReadIntegers(&read));
  EXPECT_EQ(read, values);
  EXPECT_TRUE(reader->AtEnd());
}

void ExpectRoundTrip(const std::vector<double>& values) {
  const std::string block = BlockOf(values);
  auto reader = BlockReader::Open(block);
  ASSERT_TRUE(reader.has_value());
  std::vector<double> read = {1, 2, 3};
  ASSERT_TRUE(reader->ReadDoubles(&read));
  EXPECT_EQ(BitsOf(read), BitsOf(values));
  EXPECT_TRUE(reader->AtEnd());
}

// The format is a promise: blocks are on disk.
TEST(ColumnBlock, IsWrittenAsDocumented) {
  const auto payload = [](const std::string& block) {
    return Hex(std::string_view(block).substr(0, block.size() - 4));
  };
  EXPECT_EQ(payload(BlockOf(std::vector<int64_t>{})), "0100");
  // count, 1000, +1, no further change for 2 more
  EXPECT_EQ(payload(BlockOf(std::vector<int64_t>{1000, 1001, 1002, 1003})), "0104d00f020001");
  EXPECT_EQ(payload(BlockOf(std::vector<int64_t>{5, 5, 5, 4})), "01040a000101");
  // 11, 2 zeros lead, 10 bits follow, 1111111111; then 0; then 11, 9 lead, 3 follow, 101
  EXPECT_EQ(payload(BlockOf(std::vector<double>{1.0, 1.0})), "0102c44ffe");
  EXPECT_EQ(Hex(BlockOf(std::vector<int64_t>{})),
            "0100" + Hex(BlockDigest(std::string("\1\0", 2))).substr(8));
}

TEST(ColumnBlock, KeepsIntegers) {
  const std::vector<std::vector<int64_t>> columns = {
      {},
      {0},
      {-1},
      {kLowest},
      {kHighest},
      {kLowest, kHighest, kLowest, 0, kHighest},
      {0, kLowest, 0, kLowest},
      {7, 7, 7, 7, 7},
      {1, 2, 3, 5, 6, 7, 7, 7, -3},
      std::vector<int64_t>(kMaxColumnValues, 42),
  };
  for (const auto& column : columns) {
    SCOPED_TRACE(testing::PrintToString(column));
    ExpectRoundTrip(column);
  }
}

TEST(ColumnBlock, KeepsDoublesToTheBit) {
  const double quiet = std::bit_cast<double>(uint64_t{0x7FF8000000000123});
  const double signalling = std::bit_cast<double>(uint64_t{0xFFF0000000000001});
  const std::vector<std::vector<double>> columns = {
      {},
      {0.0},
      {-0.0},
      {0.0, -0.0, 0.0},
      {kInfinity, -kInfinity, quiet, signalling, 1.5},
      {5e-324, -5e-324, std::numeric_limits<double>::max(), std::numeric_limits<double>::lowest()},
      {1, 1, 1, 2, 2, 3},
      std::vector<double>(kMaxColumnValues, 0.1),
  };
  for (const auto& column : columns) {
    SCOPED_TRACE(testing::PrintToString(column));
    ExpectRoundTrip(column);
  }
}

TEST(ColumnBlock, KeepsWhateverThereIs) {
  std::mt19937_64 random(20261128);
  for (int round = 0; round < 300; ++round) {
    std::vector<int64_t> integers;
    std::vector<double> doubles;
    const size_t count = random() % 300;
    const int shift = static_cast<int>(random() % 64);
    for (size_t i = 0; i < count; ++i) {
      const bool repeats = i > 0 && random() % 3 == 0;
      integers.push_back(repeats ? integers.back() : static_cast<int64_t>(random() >> shift));
      doubles.push_back(repeats ? doubles.back() : std::bit_cast<double>(random() << shift));
    }
    ExpectRoundTrip(integers);
    ExpectRoundTrip(doubles);
  }
}

TEST(ColumnBlock, HoldsSeveralColumns) {
  BlockWriter writer;
  writer.AddDoubles(std::vector{0.5, 0.25});
  writer.AddNumber(std::numeric_limits<uint64_t>::max());
  writer.AddIntegers(std::vector<int64_t>{3, 2, 1});
  writer.AddDoubles(std::vector{1.0});
  const std::string block = std::move(writer).Finish();
  auto reader = BlockReader::Open(block);
  ASSERT_TRUE(reader.has_value());
  std::vector<double> doubles;
  std::vector<int64_t> integers;
  uint64_t number = 0;
  ASSERT_TRUE(reader->ReadDoubles(&doubles));
  EXPECT_THAT(doubles, ElementsAreArray({0.5, 0.25}));
  ASSERT_TRUE(reader->ReadNumber(&number));
  EXPECT_EQ(number, std::numeric_limits<uint64_t>::max());
  ASSERT_TRUE(reader->ReadIntegers(&integers));
  EXPECT_THAT(integers, ElementsAreArray({3, 2, 1}));
  EXPECT_FALSE(reader->AtEnd());
  ASSERT_TRUE(reader->ReadDoubles(&doubles));
  EXPECT_TRUE(reader->AtEnd());
  EXPECT_FALSE(reader->ReadNumber(&number));
  EXPECT_FALSE(reader->ReadIntegers(&integers));
  EXPECT_FALSE(reader->ReadDoubles(&doubles));
}

TEST(ColumnBlock, IsSmallForWhatTrainingGives) {
  std::mt19937_64 random(1);
  std::normal_distribution<double> noise(0, 0.05);
  std::vector<int64_t> steps;
  std::vector<double> losses;
  for (int i = 0; i < 1024; ++i) {
    steps.push_back(100'000 + i);
    losses.push_back(
        static_cast<float>(std::exp(-i / 500.0) + noise(random)));  // of single precision
  }
  EXPECT_THAT(BlockOf(steps), SizeIs(testing::Lt(16U)));
  EXPECT_THAT(BlockOf(losses), SizeIs(testing::Lt(4U * 1024)));
}

TEST(ColumnBlock, DamageIsNoticed) {
  const std::string block = BlockOf(std::vector<double>{0.1, 0.2, 0.3});
  for (size_t i = 0; i < block.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = block;
      damaged[i] = static_cast<char>(damaged[i] ^ 1 << bit);
      EXPECT_FALSE(BlockReader::Open(damaged).has_value()) << i;
    }
    EXPECT_FALSE(BlockReader::Open(block.substr(0, i)).has_value()) << i;
  }
  EXPECT_FALSE(BlockReader::Open(block + '\0').has_value());
}

// With a good checksum, and a column that is none.
TEST(ColumnBlock, RefusesWhatIsNoColumn) {
  const auto read = [](std::string payload) {
    payload.insert(payload.begin(), '\1');
    const std::string block = payload + BlockDigest(payload).substr(4);
    auto reader = BlockReader::Open(block);
    EXPECT_TRUE(reader.has_value());
    auto copy = reader;
    std::vector<int64_t> integers;
    std::vector<double> doubles;
    return std::pair(reader->ReadIntegers(&integers), copy->ReadDoubles(&doubles));
  };
  const std::pair neither(false, false);
  EXPECT_EQ(read(""), neither);
  EXPECT_EQ(read("\x01"), neither) << "a count without values";
  EXPECT_EQ(read("\x81\x20\x00\x00\x9f\x20"), neither) << "4,097 values";
  EXPECT_EQ(read("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), neither) << "an endless varint";
  EXPECT_EQ(read(std::string("\x03\x02\x00\x02", 4)).first, false) << "more zeros than values";
  EXPECT_EQ(read("\x01\xff\xff\xff").second, false) << "more bits than a double has";
}

}  // namespace
}  // namespace ckpt::storage
