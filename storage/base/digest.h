// Digests of checkpoint bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct XXH3_state_s;

namespace ckpt {

// Bytes covered by one block digest.
inline constexpr int64_t kDigestBlockBytes = 4 << 20;
// Bytes of one block digest.
inline constexpr size_t kBlockDigestBytes = 8;

struct FreeXxh3 {
  void operator()(XXH3_state_s* state) const;
};
using Xxh3State = std::unique_ptr<XXH3_state_s, FreeXxh3>;

// XXH3-128 of the whole. Movable; not thread-safe.
class WholeDigest {
 public:
  WholeDigest();

  void Update(std::string_view bytes);

  // Of everything so far, canonical (big-endian), 16 bytes.
  std::string Whole() const;
  int64_t size() const { return size_; }

 private:
  Xxh3State state_;
  int64_t size_ = 0;
};

// The same, and XXH3-64 of each 4 MiB block, in one pass. Movable; not thread-safe.
class StreamDigest {
 public:
  StreamDigest();

  void Update(std::string_view bytes);

  std::string Whole() const { return whole_.Whole(); }
  // XXH3-64 of each block so far, the last one possibly short, 8 bytes big-endian each.
  std::string Blocks() const;
  int64_t size() const { return whole_.size(); }

 private:
  WholeDigest whole_;
  Xxh3State block_;
  std::string finished_blocks_;
};

// XXH3-64 of one block, 8 bytes big-endian, as in StreamDigest::Blocks.
std::string BlockDigest(std::string_view block);

// crc32c (Castagnoli) of `bytes`, as iSCSI and gRPC storage APIs compute it.
uint32_t Crc32c(std::string_view bytes);
// The same, continued: Crc32c(a + b) == Crc32c(b, Crc32c(a)).
uint32_t Crc32c(std::string_view bytes, uint32_t crc);

// Lower-case hexadecimal.
std::string Hex(std::string_view bytes);

}  // namespace ckpt
