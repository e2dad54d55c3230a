#include "storage/catalog/key_encoding.h"

#include <bit>
#include <charconv>

namespace ckpt::storage {
namespace {

constexpr uint64_t kSignBit = uint64_t{1} << 63;

template <typename Number>
void AppendBigEndian(std::string& key, Number number) {
  for (int shift = 8 * (sizeof(Number) - 1); shift >= 0; shift -= 8) {
    key.push_back(static_cast<char>(number >> shift));
  }
}

template <typename Number>
Number DecodeBigEndian(std::string_view bytes) {
  Number number = 0;
  for (const char byte : bytes) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

}  // namespace

void AppendText(std::string& key, std::string_view text) {
  key.append(text);
  key.push_back('\0');
}

void AppendU32(std::string& key, uint32_t number) { AppendBigEndian(key, number); }

void AppendU64(std::string& key, uint64_t number) { AppendBigEndian(key, number); }

void AppendDouble(std::string& key, double value) {
  const auto bits = std::bit_cast<uint64_t>(value == 0.0 ? 0.0 : value);
  AppendBigEndian(key, (bits & kSignBit) != 0 ? ~bits : bits | kSignBit);
}

uint32_t DecodeU32(std::string_view bytes) { return DecodeBigEndian<uint32_t>(bytes); }

uint64_t DecodeU64(std::string_view bytes) { return DecodeBigEndian<uint64_t>(bytes); }

double DecodeDouble(std::string_view bytes) {
  const auto ordered = DecodeBigEndian<uint64_t>(bytes);
  return std::bit_cast<double>((ordered & kSignBit) != 0 ? ordered & ~kSignBit : ~ordered);
}

std::string RunPrefix(std::string_view run) {
  std::string key;
  AppendText(key, run);
  return key;
}

std::string RunKey(std::string_view run, RunRow row) {
  std::string key = RunPrefix(run);
  key.push_back(static_cast<char>(row));
  return key;
}

std::string MetricNameKey(std::string_view run, uint32_t metric) {
  std::string key = RunKey(run, RunRow::kMetricName);
  AppendU32(key, metric);
  return key;
}

std::string CheckpointKey(std::string_view run, uint64_t id) {
  std::string key = RunPrefix(run);
  AppendU64(key, id);
  return key;
}

std::string NameKey(std::string_view run, std::string_view filepath) {
  std::string key = RunPrefix(run);
  key.append(filepath);
  return key;
}

std::string RankingPrefix(std::string_view run, std::string_view metric) {
  std::string key = RunPrefix(run);
  AppendText(key, metric);
  return key;
}

std::string RankingKey(std::string_view run, std::string_view metric, double value, uint64_t id) {
  std::string key = RankingPrefix(run, metric);
  AppendDouble(key, value);
  AppendU64(key, id);
  return key;
}

std::string EventPrefix(std::string_view run, uint32_t rank) {
  std::string key = RunPrefix(run);
  AppendU32(key, rank);
  return key;
}

std::string EventKey(std::string_view run, uint32_t rank, uint64_t seq) {
  std::string key = EventPrefix(run, rank);
  AppendU64(key, seq);
  return key;
}

std::string HistoryPrefix(std::string_view run, HistoryRow row, uint32_t rank) {
  std::string key = RunPrefix(run);
  key.push_back(static_cast<char>(row));
  AppendU32(key, rank);
  return key;
}

std::string SeriesPrefix(std::string_view run, HistoryRow row, uint32_t rank, uint32_t metric) {
  std::string key = HistoryPrefix(run, row, rank);
  AppendU32(key, metric);
  return key;
}

std::optional<RunKeyParts> SplitRunKey(std::string_view key) {
  const size_t end = key.find('\0');
  if (end == std::string_view::npos || end == 0) return std::nullopt;
  return RunKeyParts{key.substr(0, end), key.substr(end + 1)};
}

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (!end.empty()) ++end.back();
  return end;
}

std::optional<uint64_t> ParseCheckpointId(std::string_view id) {
  uint64_t number = 0;
  const auto [rest, error] = std::from_chars(id.data(), id.data() + id.size(), number);
  if (error != std::errc() || rest != id.data() + id.size() || id.front() == '0') {
    return std::nullopt;
  }
  return number;
}

}  // namespace ckpt::storage
