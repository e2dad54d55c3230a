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

// XXH3-128 of the whole and XXH3-64 of each 4 MiB block, in one pass. Not thread-safe.
class StreamDigest {
 public:
  StreamDigest();
  ~StreamDigest();
  StreamDigest(StreamDigest&&) noexcept;
  StreamDigest& operator=(StreamDigest&&) noexcept;

  void Update(std::string_view bytes);

  // XXH3-128 of everything so far, canonical (big-endian), 16 bytes.
  std::string Whole() const;
  // XXH3-64 of each block so far, the last one possibly short, 8 bytes big-endian each.
  std::string Blocks() const;
  int64_t size() const { return size_; }

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> whole_;
  std::unique_ptr<XXH3_state_s, Free> block_;
  std::string finished_blocks_;
  int64_t size_ = 0;
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
