#include "storage/catalog/torn_log.h"

#include <fmt/format.h>
#include <rocksdb/env.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "storage/base/digest.h"
#include "storage/base/errors.h"

namespace ckpt::storage {
namespace {

// RocksDB's log format: blocks of 32 KiB; each record in it has 4 bytes of masked crc32c, 2 of
// length (both little-endian) and 1 of type before its payload. Less than a header is left unused
// at the end of a block.
constexpr size_t kBlock = 32 << 10;
constexpr size_t kHeader = 7;
constexpr uint8_t kFull = 1;       // a record in one piece
constexpr uint8_t kFirst = 2;      // the first of its pieces
constexpr uint8_t kLastType = 10;  // above: a newer version's

uint32_t Byte(std::string_view log, size_t at) { return static_cast<uint8_t>(log[at]); }

struct Piece {
  uint8_t type = 0;
  size_t end = 0;
};

// The piece at `begin` if it is whole.
std::optional<Piece> ReadPiece(std::string_view log, size_t begin) {
  const size_t block_end = std::min(log.size(), (begin / kBlock + 1) * kBlock);
  if (begin + kHeader > block_end) return std::nullopt;
  const uint32_t stored = Byte(log, begin) | Byte(log, begin + 1) << 8 |
                          Byte(log, begin + 2) << 16 | Byte(log, begin + 3) << 24;
  const size_t length = Byte(log, begin + 4) | Byte(log, begin + 5) << 8;
  const auto type = static_cast<uint8_t>(Byte(log, begin + 6));
  const size_t end = begin + kHeader + length;
  if (type < kFull || type > kLastType || end > block_end) return std::nullopt;
  const uint32_t crc = Crc32c(log.substr(begin + 6, length + 1));
  const uint32_t masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
  if (masked != stored) return std::nullopt;
  return Piece{.type = type, .end = end};
}

bool BeginsRecord(std::string_view log, size_t begin) {
  const std::optional<Piece> piece = ReadPiece(log, begin);
  return piece.has_value() && (piece->type == kFull || piece->type == kFirst);
}

size_t NextBlock(size_t position) { return (position / kBlock + 1) * kBlock; }

// Where pieces begin is unknown after a bad one, and what is lost may reach over several blocks.
bool RecordBeginsAfter(std::string_view log, size_t bad) {
  for (size_t begin = bad + 1; begin < log.size(); ++begin) {
    if (BeginsRecord(log, begin)) return true;
  }
  return false;
}

absl::Status Failed(const rocksdb::Status& status, const std::string& path) {
  return StorageFailed(fmt::format("looking for the end of '{}': {}", path, status.ToString()));
}

absl::StatusOr<bool> CutTornTail(rocksdb::Env& env, const std::string& path) {
  std::string log;
  if (const auto status = rocksdb::ReadFileToString(&env, path, &log); !status.ok()) {
    return Failed(status, path);
  }
  const std::optional<size_t> tail = FindTornTail(log);
  if (!tail.has_value()) return false;
  rocksdb::EnvOptions options;
  options.use_mmap_writes = false;
  std::unique_ptr<rocksdb::WritableFile> file;
  rocksdb::Status status = env.ReopenWritableFile(path, &file, options);
  if (status.ok()) status = file->Truncate(*tail);
  if (status.ok()) status = file->Fsync();
  if (status.ok()) status = file->Close();
  if (!status.ok()) return Failed(status, path);
  return true;
}

}  // namespace

std::optional<size_t> FindTornTail(std::string_view log) {
  size_t position = 0;
  while (position < log.size()) {
    if (NextBlock(position) - position < kHeader) {
      position = NextBlock(position);
      continue;
    }
    const std::optional<Piece> piece = ReadPiece(log, position);
    if (!piece.has_value()) {
      return RecordBeginsAfter(log, position) ? std::nullopt : std::optional(position);
    }
    position = piece->end;
  }
  return std::nullopt;
}

absl::StatusOr<bool> CutTornTails(rocksdb::Env& env, const std::string& folder) {
  std::vector<std::string> names;
  if (const auto status = env.GetChildren(folder, &names); !status.ok()) {
    return Failed(status, folder);
  }
  std::string newest;  // names are numbers of equal length, until the millionth
  for (const std::string& name : names) {
    if (!name.ends_with(".log")) continue;
    if (name.size() > newest.size() || (name.size() == newest.size() && name > newest)) {
      newest = name;
    }
  }
  std::string manifest;  // CURRENT is its name and a newline
  if (const auto status = rocksdb::ReadFileToString(&env, folder + "/CURRENT", &manifest);
      !status.ok()) {
    return Failed(status, folder);
  }
  manifest = manifest.substr(0, manifest.find('\n'));
  bool cut = false;
  for (const std::string& name : {newest, manifest}) {
    if (name.empty()) continue;
    const auto was_torn = CutTornTail(env, folder + '/' + name);
    if (!was_torn.ok()) return was_torn.status();
    cut = cut || *was_torn;
  }
  return cut;
}

}  // namespace ckpt::storage
