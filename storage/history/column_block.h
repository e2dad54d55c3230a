// Columns of numbers in few bytes: what the history of a run is stored as.
//
// A block is one byte of version (01), columns one after the other, and 4 bytes: the low half of
// XXH3-64 of all before, big-endian. Varints are LEB128; signed ones are zigzag.
//
// - number: a varint.
// - integers: a varint count, the first value, then the change of the change from one value to the
//   next (the first change counts from 0), all signed varints, modulo 2^64. A 0 is followed by a
//   varint that says how many more zeros follow it.
// - doubles: a varint count, then bits, most significant first, filled up to a byte with zeros.
// Each
//   value is XORed with the one before (the first with 0.0). 0: the same value. 10: the bits that
//   differ lie where they lay in the value before that had any. 11: 5 bits say how many zeros lead,
//   6 bits how many bits follow, less one. Bits of values are kept as they are, those of NaN too.
//
// Pure. Writers and readers belong to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ckpt::storage {

// Values of one column at most: what a damaged block can make a reader allocate. A block has a
// column of all its metrics, of which a run has as many.
inline constexpr size_t kMaxColumnValues = 16384;

class BlockWriter {
 public:
  BlockWriter();
  void AddNumber(uint64_t number);
  // At most kMaxColumnValues.
  void AddIntegers(std::span<const int64_t> values);
  void AddDoubles(std::span<const double> values);
  // The block. Nothing may follow.
  std::string Finish() &&;

 private:
  // Room for `bytes` more, of which CutAt leaves what was used.
  char* Extend(size_t bytes);
  void CutAt(const char* end);

  std::string bytes_;
};

// Reads what a BlockWriter wrote, in the same order. Each Read returns false, and then what it
// reads into is of no meaning, if the block does not hold that there.
class BlockReader {
 public:
  // Nothing if `block` is none, of another version, or damaged. It must outlive the reader.
  static std::optional<BlockReader> Open(std::string_view block);

  bool ReadNumber(uint64_t* number);
  bool ReadIntegers(std::vector<int64_t>* values);
  bool ReadDoubles(std::vector<double>* values);
  bool AtEnd() const { return rest_.empty(); }

 private:
  explicit BlockReader(std::string_view rest) : rest_(rest) {}
  bool ReadCount(size_t* count);

  std::string_view rest_;
};

}  // namespace ckpt::storage
