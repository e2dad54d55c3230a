// Keys of the index, byte by byte. Comparing keys as bytes compares what they encode.
//
//   runs         run 00 01                      the run
//                run 00 02                      its progress
//                run 00 03                      its statistics
//                run 00 04 u32 metric id        a name of its metric dictionary
//   saves        run 00 u64 id
//   checkpoints  run 00 u64 id
//   evictions    run 00 u64 id
//   names        run 00 file path
//   ranking      run 00 metric 00 double value u64 id
//   events       run 00 u32 rank u64 seq
//   history      run 00 01 u32 rank                          where the columns of a rank stand
//                run 00 02 u32 rank u64 seq                  events from this one on
//                run 00 03 u32 rank u32 metric id u64 seq    values of a sealed segment
//                run 00 04 u32 rank u32 metric id u64 seq    their summary
//
// Texts hold no NUL and end with one where something follows, so that a text sorts before every
// text that it begins. Numbers are big-endian. A double is its IEEE bits with the sign bit flipped,
// or all bits flipped if it is negative: -inf sorts first, +inf last, -0.0 is +0.0, NaN has no key.
//
// Pure and thread-safe. Callers have checked their texts (see HasKey).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ckpt::storage {

// The rows of one run in the table `runs`, in the order of their keys.
enum class RunRow : uint8_t { kRun = 1, kProgress = 2, kStats = 3, kMetricName = 4 };

// The rows of one run in the table `history`, in the order of their keys.
enum class HistoryRow : uint8_t { kState = 1, kEvents = 2, kValues = 3, kSummary = 4 };

inline constexpr size_t kU32Bytes = 4;
inline constexpr size_t kU64Bytes = 8;
inline constexpr size_t kDoubleBytes = 8;

// Whether `text` can be part of a key.
inline bool HasKey(std::string_view text) { return text.find('\0') == std::string_view::npos; }

void AppendText(std::string& key, std::string_view text);  // and its terminator
void AppendU32(std::string& key, uint32_t number);
void AppendU64(std::string& key, uint64_t number);
void AppendDouble(std::string& key, double value);  // not NaN

// The inverses. `bytes` has exactly as many bytes as the number.
uint32_t DecodeU32(std::string_view bytes);
uint64_t DecodeU64(std::string_view bytes);
double DecodeDouble(std::string_view bytes);

// What all keys of a run begin with, in every table.
std::string RunPrefix(std::string_view run);
std::string RunKey(std::string_view run, RunRow row);
std::string MetricNameKey(std::string_view run, uint32_t metric);
// In `saves`, `checkpoints` and `evictions`.
std::string CheckpointKey(std::string_view run, uint64_t id);
std::string NameKey(std::string_view run, std::string_view filepath);
std::string RankingPrefix(std::string_view run, std::string_view metric);
std::string RankingKey(std::string_view run, std::string_view metric, double value, uint64_t id);
std::string EventPrefix(std::string_view run, uint32_t rank);
std::string EventKey(std::string_view run, uint32_t rank, uint64_t seq);
// Of kState the whole key, of kEvents what is before the sequence number.
std::string HistoryPrefix(std::string_view run, HistoryRow row, uint32_t rank);
// Of kValues and kSummary what is before the sequence number.
std::string SeriesPrefix(std::string_view run, HistoryRow row, uint32_t rank, uint32_t metric);

// What follows `run 00` in `key`, and the run. Nothing if `key` is none of ours.
struct RunKeyParts {
  std::string_view run;
  std::string_view rest;
};
std::optional<RunKeyParts> SplitRunKey(std::string_view key);

// The first key after all keys that begin with `prefix`; empty if there is none.
std::string PrefixEnd(std::string_view prefix);

// A checkpoint id: a decimal number from 1 without leading zeros. Nothing if `id` is no such text.
std::optional<uint64_t> ParseCheckpointId(std::string_view id);

}  // namespace ckpt::storage
