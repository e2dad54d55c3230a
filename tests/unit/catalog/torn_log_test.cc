#include "storage/catalog/torn_log.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>

#include "storage/base/digest.h"

namespace ckpt::storage {
namespace {

constexpr size_t kBlock = 32 << 10;
constexpr char kFull = 1;
constexpr char kFirst = 2;
constexpr char kLast = 4;

std::string Piece(char type, const std::string& payload) {
  const uint32_t crc = Crc32c(type + payload);
  const uint32_t masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
  std::string piece;
  for (int shift = 0; shift < 32; shift += 8) piece += static_cast<char>(masked >> shift);
  piece += static_cast<char>(payload.size());
  piece += static_cast<char>(payload.size() >> 8);
  return piece + type + payload;
}

// A record that begins in one block and ends in the next.
std::string Fill(const std::string& log) {
  return log + Piece(kFirst, std::string(kBlock - log.size() - 7, 'f')) + Piece(kLast, "end");
}

std::string Damage(std::string log, size_t at) {
  log[at] = static_cast<char>(log[at] ^ 1);
  return log;
}

std::string Zero(std::string log, size_t from, size_t to) {
  return log.replace(from, to - from, to - from, '\0');
}

struct Case {
  const char* what;
  std::string log;
  std::optional<size_t> tail;
};

TEST(FindTornTail, TellsATornRecordFromDamage) {
  const std::string a = Piece(kFull, std::string(100, 'a'));
  const std::string b = Piece(kFull, std::string(200, 'b'));
  const std::string zeros(300, '\0');
  const Case cases[] = {
      {"nothing", "", std::nullopt},
      {"whole records", a + b + a, std::nullopt},
      {"a record over two blocks", Fill(a) + b, std::nullopt},
      {"the last record is cut short", a + b.substr(0, 50), a.size()},
      {"only a piece of its header is there", a + b.substr(0, 3), a.size()},
      {"its content is not there", a + b.substr(0, 60) + std::string(147, '\0'), a.size()},
      {"not even its header", a + zeros, a.size()},
      {"its length is wrong", a + Damage(b, 5), a.size()},
      {"the only record", Damage(a, 50), 0},
      {"a record follows", Damage(a, 50) + b, std::nullopt},
      {"a record follows one of wrong length", Damage(a, 5) + b, std::nullopt},
      {"a record follows in the next block", Damage(Fill(a), 10) + b, std::nullopt},
      {"the first of two pieces", Damage(Fill(a), a.size() + 10), a.size()},
      {"the last of two pieces", Damage(Fill(a), kBlock + 8), kBlock},
      {"the first of two pieces, and a record follows", Damage(Fill(a), a.size() + 10) + b,
       std::nullopt},
      {"what is lost reaches into the next block, and a record follows there",
       Zero(Fill(a) + b, kBlock - 4096, kBlock + 10) + b, std::nullopt},
      {"what is lost reaches into the next block", Zero(Fill(a) + b, kBlock - 4096, kBlock + 217),
       a.size()},
  };
  for (const Case& c : cases) EXPECT_EQ(FindTornTail(c.log), c.tail) << c.what;
}

}  // namespace
}  // namespace ckpt::storage
