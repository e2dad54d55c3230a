#include "client/cpp/src/copy_pool.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace ckpt::client {
namespace {

constexpr size_t kSize = 1 << 16;

// The address of a copy of so many bytes that is let go at once.
const char* PlaceOf(CopyPool& pool, size_t size) {
  return pool.Copy("part", std::string(size, 'x')).bytes.data();
}

TEST(CopyPoolTest, CopiesWhatMayChange) {
  CopyPool pool;
  std::string bytes = "content";
  const PartBytes copy = pool.Copy("weights", bytes);
  bytes = "changed";
  EXPECT_EQ(copy.part, "weights");
  EXPECT_EQ(copy.bytes, "content");
  EXPECT_EQ(pool.Copy("empty", "").bytes, "");
}

TEST(CopyPoolTest, UsesMemoryAgainForWhatFitsWell) {
  for (const size_t then : {kSize, kSize - 1, kSize / 2 + 1}) {
    CopyPool pool;
    const char* const first = PlaceOf(pool, kSize);
    const PartBytes held = pool.Copy("part", std::string(then, 'y'));
    EXPECT_EQ(held.bytes, std::string(then, 'y'));
    EXPECT_EQ(held.bytes.data(), first) << then;
    EXPECT_EQ(pool.kept_bytes(), 0);
  }
}

TEST(CopyPoolTest, LetsGoOfWhatDoesNotFit) {
  CopyPool pool;
  for (const size_t size : {kSize, kSize / 4, 4 * kSize, kSize}) {
    PlaceOf(pool, size);
    EXPECT_GE(pool.kept_bytes(), size);
    EXPECT_LE(pool.kept_bytes(), 2 * size);
  }
}

TEST(CopyPoolTest, MemoryInUseIsLeftAlone) {
  CopyPool pool;
  const PartBytes first = pool.Copy("part", std::string(kSize, 'x'));
  PartBytes second = pool.Copy("part", std::string(kSize, 'y'));
  EXPECT_EQ(first.bytes, std::string(kSize, 'x'));
  const char* const place = second.bytes.data();
  second.owner.reset();
  EXPECT_EQ(PlaceOf(pool, kSize), place);
}

TEST(CopyPoolTest, CopiesOutliveThePool) {
  auto pool = std::make_unique<CopyPool>();
  const PartBytes copy = pool->Copy("part", std::string(kSize, 'x'));
  pool.reset();
  EXPECT_EQ(copy.bytes, std::string(kSize, 'x'));
}

}  // namespace
}  // namespace ckpt::client
