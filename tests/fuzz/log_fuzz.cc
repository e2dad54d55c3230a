// The index's logs after a power cut or damage: a record that others follow is never cut off, and
// what is left is whole. Input: two bytes a step, what and how much.

#include <algorithm>
#include <cstdint>
#include <string>

#include "storage/base/digest.h"
#include "storage/catalog/torn_log.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

using ckpt::fuzz::Check;

constexpr size_t kMaxSteps = 64;
constexpr size_t kMaxBytes = size_t{200} << 10;
constexpr size_t kBlock = size_t{32} << 10;
constexpr size_t kHeader = 7;
enum PieceType : char { kFull = 1, kFirst, kMiddle, kLast };

class Log {
 public:
  void Step(uint8_t what, uint8_t much) {
    if (bytes_.size() > kMaxBytes) return;
    switch (what % 5) {
      case 0:
        return AppendRecord(much);
      case 1:
        return AppendRecord(much * size_t{200});
      case 2:
        return AppendNoise(std::string(much * size_t{200}, '\0'));
      case 3:
        return AppendNoise(std::string(much, static_cast<char>(what)));
      default:
        return Damage(much * size_t{200});
    }
  }

  void CheckTail() const {
    const auto tail = ckpt::storage::FindTornTail(bytes_);
    if (ends_well_) Check(!tail.has_value(), "a whole record is not cut off");
    if (!tail.has_value()) return;
    Check(*tail < bytes_.size(), "a tail is within the log");
    const auto again = ckpt::storage::FindTornTail(std::string_view(bytes_).substr(0, *tail));
    Check(!again.has_value(), "nothing is torn in what is left");
  }

 private:
  void AppendRecord(size_t size) {
    last_record_ = bytes_.size();
    for (bool first = true, last = false; !last; first = false) {
      size_t room = kBlock - bytes_.size() % kBlock;
      if (room < kHeader) {
        bytes_.append(room, '\0');
        room = kBlock;
      }
      const size_t taken = std::min(size, room - kHeader);
      size -= taken;
      last = size == 0;
      AppendPiece(first ? (last ? kFull : kFirst) : (last ? kLast : kMiddle), taken);
    }
    ends_well_ = true;
  }

  void AppendPiece(PieceType type, size_t size) {
    const std::string content = static_cast<char>(type) + std::string(size, 'r');
    const uint32_t crc = ckpt::Crc32c(content);
    const uint32_t masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
    for (int shift = 0; shift < 32; shift += 8) bytes_ += static_cast<char>(masked >> shift);
    bytes_ += static_cast<char>(size);
    bytes_ += static_cast<char>(size >> 8);
    bytes_ += content;
  }

  void AppendNoise(const std::string& noise) {
    bytes_ += noise;
    ends_well_ = ends_well_ && noise.empty();
  }

  // Changes one byte, `back` bytes before the last one.
  void Damage(size_t back) {
    if (back >= bytes_.size()) return;
    const size_t at = bytes_.size() - 1 - back;
    bytes_[at] = static_cast<char>(bytes_[at] ^ 1);
    ends_well_ = ends_well_ && at < last_record_;
  }

  std::string bytes_;
  size_t last_record_ = 0;
  bool ends_well_ = true;  // with a record of which nothing is damaged, or with nothing
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Log log;
  for (size_t i = 0; i + 1 < std::min(size, 2 * kMaxSteps); i += 2) log.Step(data[i], data[i + 1]);
  log.CheckTail();
  return 0;
}
