#include "storage/history/column_block.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "storage/catalog/key_encoding.h"

namespace ckpt::storage {
namespace {

constexpr char kVersion = 1;
constexpr int kMaxLeadingZeros = 31;  // what 5 bits hold

uint32_t ChecksumOf(std::string_view bytes) {
  return static_cast<uint32_t>(XXH3_64bits(bytes.data(), bytes.size()));
}

constexpr size_t kMaxVarintBytes = 10;
constexpr size_t kMaxDoubleBytes = 10;  // 2 + 5 + 6 + 64 bits

// Writes a varint to `out`; gives where it ends.
char* PutVarint(uint64_t number, char* out) {
  for (; number >= 0x80; number >>= 7) *out++ = static_cast<char>(number | 0x80);
  *out++ = static_cast<char>(number);
  return out;
}

bool ReadVarint(std::string_view& bytes, uint64_t* number) {
  *number = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    *number |= uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// Changes are taken modulo 2^64, so that every pair of values has one.
uint64_t Zigzag(uint64_t number) { return number << 1 ^ (0 - (number >> 63)); }
uint64_t Unzigzag(uint64_t number) { return number >> 1 ^ (0 - (number & 1)); }

// Bits, most significant first, into memory that has room for them.
class BitWriter {
 public:
  explicit BitWriter(char* out) : out_(out) {}

  // The low `count` bits of `bits`, which has no others.
  void Put(uint64_t bits, int count) {
    if (count > 32) {
      Put(bits >> 32, count - 32);
      bits &= 0xFFFFFFFF;
      count = 32;
    }
    pending_ = pending_ << count | bits;
    held_ += count;
    if (held_ < 32) return;
    held_ -= 32;
    for (int shift = 24; shift >= 0; shift -= 8) {
      *out_++ = static_cast<char>(pending_ >> (held_ + shift));
    }
  }
  // Fills the last byte up; gives where it ends.
  char* Finish() {
    if (held_ % 8 != 0) Put(0, 8 - held_ % 8);
    while (held_ > 0) {
      held_ -= 8;
      *out_++ = static_cast<char>(pending_ >> held_);
    }
    return out_;
  }

 private:
  char* out_;
  uint64_t pending_ = 0;  // of which the low `held_` bits are not yet written
  int held_ = 0;
};

class BitReader {
 public:
  explicit BitReader(std::string_view bytes) : bytes_(bytes) {}

  // The next `count` bits, 0 to 64; zeros past the end, which `failed` then tells.
  uint64_t Take(int count) {
    if (count > 32) {
      const uint64_t high = Take(count - 32);
      return high << 32 | Take(32);
    }
    while (held_ < count) {
      failed_ |= bytes_.empty();
      pending_ = pending_ << 8 | (bytes_.empty() ? 0 : static_cast<unsigned char>(bytes_.front()));
      bytes_.remove_prefix(bytes_.empty() ? 0 : 1);
      held_ += 8;
    }
    held_ -= count;
    return pending_ >> held_ & ((uint64_t{1} << count) - 1);
  }
  bool failed() const { return failed_; }
  // What follows the byte that was read last.
  std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
  uint64_t pending_ = 0;
  int held_ = 0;
  bool failed_ = false;
};

}  // namespace

// ---- BlockWriter

BlockWriter::BlockWriter() : bytes_(1, kVersion) {}

char* BlockWriter::Extend(size_t bytes) {
  const size_t end = bytes_.size();
  bytes_.resize(end + bytes);
  return bytes_.data() + end;
}

void BlockWriter::CutAt(const char* end) {
  bytes_.resize(static_cast<size_t>(end - bytes_.data()));
}

void BlockWriter::AddNumber(uint64_t number) { CutAt(PutVarint(number, Extend(kMaxVarintBytes))); }

void BlockWriter::AddIntegers(std::span<const int64_t> values) {
  AddNumber(values.size());
  if (values.empty()) return;
  char* out = Extend(values.size() * 2 * kMaxVarintBytes);
  auto value = static_cast<uint64_t>(values.front());
  out = PutVarint(Zigzag(value), out);
  uint64_t change = 0;
  for (size_t i = 1; i < values.size();) {
    const uint64_t next = static_cast<uint64_t>(values[i]) - value;
    out = PutVarint(Zigzag(next - change), out);
    value = static_cast<uint64_t>(values[i++]);
    if (next == change) {
      const size_t begin = i;
      while (i < values.size() && static_cast<uint64_t>(values[i]) - value == change) {
        value = static_cast<uint64_t>(values[i++]);
      }
      out = PutVarint(i - begin, out);
    }
    change = next;
  }
  CutAt(out);
}

void BlockWriter::AddDoubles(std::span<const double> values) {
  AddNumber(values.size());
  BitWriter bits(Extend(values.size() * kMaxDoubleBytes));
  uint64_t before = 0;
  int leading = -1;  // of the newest window; none yet
  int trailing = 0;
  for (const double number : values) {
    const auto value = std::bit_cast<uint64_t>(number);
    const uint64_t differing = value ^ before;
    before = value;
    if (differing == 0) {
      bits.Put(0, 1);
      continue;
    }
    const int zeros_before = std::min(std::countl_zero(differing), kMaxLeadingZeros);
    const int zeros_behind = std::countr_zero(differing);
    if (leading >= 0 && zeros_before >= leading && zeros_behind >= trailing) {
      bits.Put(0b10, 2);
    } else {
      leading = zeros_before;
      trailing = zeros_behind;
      bits.Put(0b11, 2);
      bits.Put(static_cast<uint64_t>(leading), 5);
      bits.Put(static_cast<uint64_t>(63 - leading - trailing), 6);
    }
    bits.Put(differing >> trailing, 64 - leading - trailing);
  }
  CutAt(bits.Finish());
}

std::string BlockWriter::Finish() && {
  AppendU32(bytes_, ChecksumOf(bytes_));
  return std::move(bytes_);
}

// ---- BlockReader

std::optional<BlockReader> BlockReader::Open(std::string_view block) {
  if (block.size() < 1 + kU32Bytes || block.front() != kVersion) return std::nullopt;
  const std::string_view checked = block.substr(0, block.size() - kU32Bytes);
  if (ChecksumOf(checked) != DecodeU32(block.substr(checked.size()))) return std::nullopt;
  return BlockReader(checked.substr(1));
}

bool BlockReader::ReadNumber(uint64_t* number) { return ReadVarint(rest_, number); }

bool BlockReader::ReadCount(size_t* count) {
  uint64_t number = 0;
  if (!ReadVarint(rest_, &number) || number > kMaxColumnValues) return false;
  *count = number;
  return true;
}

bool BlockReader::ReadIntegers(std::vector<int64_t>* values) {
  values->clear();
  size_t count = 0;
  if (!ReadCount(&count)) return false;
  values->reserve(count);
  uint64_t value = 0;
  uint64_t change = 0;
  while (values->size() < count) {
    uint64_t coded = 0;
    if (!ReadVarint(rest_, &coded)) return false;
    if (values->empty()) {
      value = Unzigzag(coded);
      values->push_back(static_cast<int64_t>(value));
      continue;
    }
    uint64_t more = 0;
    if (coded == 0 && (!ReadVarint(rest_, &more) || more >= count - values->size())) return false;
    change += Unzigzag(coded);
    for (uint64_t i = 0; i <= more; ++i) {
      value += change;
      values->push_back(static_cast<int64_t>(value));
    }
  }
  return true;
}

bool BlockReader::ReadDoubles(std::vector<double>* values) {
  values->clear();
  size_t count = 0;
  if (!ReadCount(&count)) return false;
  values->reserve(count);
  BitReader bits(rest_);
  uint64_t value = 0;
  int length = 0;
  int trailing = 0;
  for (size_t i = 0; i < count && !bits.failed(); ++i) {
    if (bits.Take(1) != 0) {
      if (bits.Take(1) != 0) {
        const int leading = static_cast<int>(bits.Take(5));
        length = static_cast<int>(bits.Take(6)) + 1;
        trailing = 64 - leading - length;
        if (trailing < 0) return false;
      }
      value ^= bits.Take(length) << trailing;
    }
    values->push_back(std::bit_cast<double>(value));
  }
  rest_ = bits.rest();
  return !bits.failed();
}

}  // namespace ckpt::storage
