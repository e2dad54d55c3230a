#include "storage/base/digest.h"

#include <isa-l/crc.h>
#include <xxhash.h>
#ifdef __x86_64__
#include <xxh_x86dispatch.h>  // the same functions, with the widest vectors this processor has
#endif

#include <algorithm>

namespace ckpt {
namespace {

// The second hash of a piece finds it in the processor's cache.
constexpr int64_t kPieceBytes = 128 << 10;
static_assert(kDigestBlockBytes % kPieceBytes == 0);

std::string Canonical(XXH64_hash_t hash) {
  XXH64_canonical_t canonical;
  XXH64_canonicalFromHash(&canonical, hash);
  return {reinterpret_cast<const char*>(canonical.digest), sizeof canonical.digest};
}

}  // namespace

void FreeXxh3::operator()(XXH3_state_s* state) const { XXH3_freeState(state); }

WholeDigest::WholeDigest() : state_(XXH3_createState()) { XXH3_128bits_reset(state_.get()); }

void WholeDigest::Update(std::string_view bytes) {
  XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
  size_ += std::ssize(bytes);
}

std::string WholeDigest::Whole() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state_.get()));
  return {reinterpret_cast<const char*>(canonical.digest), sizeof canonical.digest};
}

StreamDigest::StreamDigest() : block_(XXH3_createState()) { XXH3_64bits_reset(block_.get()); }

void StreamDigest::Update(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view piece =
        bytes.substr(0, static_cast<size_t>(kPieceBytes - size() % kPieceBytes));
    whole_.Update(piece);
    XXH3_64bits_update(block_.get(), piece.data(), piece.size());
    bytes.remove_prefix(piece.size());
    if (size() % kDigestBlockBytes == 0) {
      finished_blocks_ += Canonical(XXH3_64bits_digest(block_.get()));
      XXH3_64bits_reset(block_.get());
    }
  }
}

std::string StreamDigest::Blocks() const {
  if (size() % kDigestBlockBytes == 0) return finished_blocks_;
  return finished_blocks_ + Canonical(XXH3_64bits_digest(block_.get()));
}

std::string BlockDigest(std::string_view block) {
  return Canonical(XXH3_64bits(block.data(), block.size()));
}

uint32_t Crc32c(std::string_view bytes) { return Crc32c(bytes, 0); }

uint32_t Crc32c(std::string_view bytes, uint32_t crc) {
  // The library takes its length as an int and leaves the customary inversions to the caller.
  constexpr size_t kMaxPiece = 1 << 30;
  crc = ~crc;
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, kMaxPiece);
    auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(piece.data()));
    crc = crc32_iscsi(data, static_cast<int>(piece.size()), crc);
    bytes.remove_prefix(piece.size());
  }
  return ~crc;
}

std::string Hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

}  // namespace ckpt
