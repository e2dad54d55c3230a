#include "storage/catalog/ranking.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "storage/base/errors.h"
#include "storage/catalog/key_encoding.h"
#include "storage/catalog/rows.h"

namespace ckpt::storage {
namespace {

bool HasPlacementOf(const v1::Checkpoint& checkpoint, std::string_view policy) {
  return std::any_of(checkpoint.placements().begin(), checkpoint.placements().end(),
                     [&](const v1::Placement& placement) { return placement.policy() == policy; });
}

}  // namespace

bool Ranks(double value) { return !std::isnan(value); }

RankingCursor::RankingCursor(const ReadView& view, std::string_view run, std::string_view metric,
                             bool descending)
    : prefix_(RankingPrefix(run, metric)),
      descending_(descending),
      cursor_(view.Scan(Table::kRanking, prefix_)) {}

void RankingCursor::SeekToFirst() {
  if (descending_) {
    cursor_.SeekToLast();
    SettleAtFirstOfValue();
  } else {
    cursor_.SeekToFirst();
    Settle();
  }
}

void RankingCursor::Seek(double value, uint64_t id) {
  std::string key = prefix_;
  AppendDouble(key, value);
  const std::string first_of_value = key;
  AppendU64(key, id);
  cursor_.Seek(key);
  Settle();
  if (descending_ && !(valid_ && value_ == value)) {
    cursor_.SeekForPrev(first_of_value);
    SettleAtFirstOfValue();
  }
}

void RankingCursor::Next() {
  const double value = value_;
  cursor_.Next();
  Settle();
  if (descending_ && !(valid_ && value_ == value)) {
    // That was the last row of its value: on to the next lower one.
    std::string first_of_value = prefix_;
    AppendDouble(first_of_value, value);
    cursor_.SeekForPrev(first_of_value);
    SettleAtFirstOfValue();
  }
}

absl::Status RankingCursor::status() const { return damage_.ok() ? cursor_.status() : damage_; }

void RankingCursor::Settle() {
  valid_ = damage_.ok() && cursor_.Valid();
  if (!valid_) return;
  const std::string_view key = cursor_.key();
  if (key.size() == prefix_.size() + kDoubleBytes + kU64Bytes) {
    value_ = DecodeDouble(key.substr(prefix_.size(), kDoubleBytes));
    id_ = DecodeU64(key.substr(prefix_.size() + kDoubleBytes));
    if (Ranks(value_)) return;
  }
  valid_ = false;
  damage_ = DamagedRow(Table::kRanking, key);
}

void RankingCursor::SettleAtFirstOfValue() {
  Settle();
  if (!valid_) return;
  std::string first_of_value = prefix_;
  AppendDouble(first_of_value, value_);
  cursor_.Seek(first_of_value);
  Settle();
}

absl::StatusOr<std::vector<std::string>> UnrankedMetrics(const ReadView& view, std::string_view run,
                                                         uint64_t id,
                                                         const v1::Checkpoint& checkpoint) {
  std::vector<std::string> metrics;
  for (const auto& [metric, value] : checkpoint.metrics()) {
    if (!Ranks(value)) continue;
    const auto row = view.Get(Table::kRanking, RankingKey(run, metric, value, id));
    if (!row.ok()) return row.status();
    if (!row->has_value()) metrics.push_back(metric);
  }
  std::sort(metrics.begin(), metrics.end());
  return metrics;
}

absl::StatusOr<v1::Checkpoint> FindBest(const ReadView& view, std::string_view run,
                                        std::string_view metric, bool maximize,
                                        std::string_view policy) {
  if (HasKey(metric)) {
    RankingCursor cursor(view, run, metric, maximize);
    for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) {
      const std::string key = CheckpointKey(run, cursor.id());
      auto row = ReadRow<v1::Checkpoint>(view, Table::kCheckpoints, key);
      if (!row.ok()) return row.status();
      if (!row->has_value()) return DamagedRow(Table::kCheckpoints, key);
      if (!(*row)->damage().empty()) continue;
      if (policy.empty() || HasPlacementOf(**row, policy)) return **std::move(row);
    }
    if (!cursor.status().ok()) return cursor.status();
  }
  const std::string alias = policy.empty() ? "best" : fmt::format("best:{}", policy);
  return AliasUnresolved(run, alias,
                         fmt::format("no checkpoint of it has a number for metric '{}'", metric));
}

}  // namespace ckpt::storage
