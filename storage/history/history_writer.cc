#include "storage/history/history_writer.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "storage/catalog/key_encoding.h"
#include "storage/catalog/rows.h"
#include "storage/history/event_columns.h"
#include "storage/history/history_rows.h"

namespace ckpt::storage {
namespace {

// Sequence numbers ascend.
size_t CountAfter(uint64_t seq, const PackedEvents& events) {
  size_t known = 0;
  while (known < events.size() && events[known].seq <= seq) ++known;
  return events.size() - known;
}

// What is written of one run and rank.
class RankWriter {
 public:
  RankWriter(const ReadView& view, std::string_view run, uint32_t rank, Batch& batch)
      : view_(view), run_(run), rank_(rank), batch_(batch) {}

  absl::Status Append(std::span<const PackedEvents* const> added);

 private:
  std::string KeyOf(std::string_view prefix, int64_t seq) const {
    std::string key(prefix);
    AppendU64(key, static_cast<uint64_t>(seq));
    return key;
  }
  // Adds `event` if it is new, and seals `events` when there are enough.
  void Take(const EventNumbers& event, EventColumns* events);
  // Moves the blocks of the tail in front of `events`: they are to be written anew.
  absl::Status TakeTail(EventColumns* events);
  void PutEvents(const EventColumns& events, bool sealed);
  void Seal(const EventColumns& segment);

  const ReadView& view_;
  const std::string_view run_;
  const uint32_t rank_;
  Batch& batch_;
  const std::string prefix_ = HistoryPrefix(run_, HistoryRow::kEvents, rank_);
  HistoryState state_;
};

absl::Status RankWriter::Append(std::span<const PackedEvents* const> added) {
  const auto state = ReadState(view_, run_, rank_);
  if (!state.ok()) return state.status();
  state_ = *state;
  size_t count = 0;
  for (const PackedEvents* part : added) count += CountAfter(state_.last_seq, *part);
  if (count == 0) return absl::OkStatus();
  const bool seals = state_.tail_events + count >= kSegmentEvents;
  EventColumns events;
  events.Reserve(seals ? kSegmentEvents : count);
  if (seals) {
    if (absl::Status s = TakeTail(&events); !s.ok()) return s;
  }
  for (const PackedEvents* part : added) {
    for (size_t i = 0; i < part->size(); ++i) Take((*part)[i], &events);
  }
  if (events.size() > 0) PutEvents(events, /*sealed=*/false);
  state_.tail_events += events.size();
  batch_.PutUnseen(Table::kHistory, HistoryPrefix(run_, HistoryRow::kState, rank_),
                   EncodeState(state_));
  return absl::OkStatus();
}

void RankWriter::Take(const EventNumbers& event, EventColumns* events) {
  if (event.seq <= state_.last_seq) return;
  if (state_.first_seq == 0) state_.first_seq = event.seq;
  state_.last_seq = event.seq;
  events->Add(event);
  if (events->size() < kSegmentEvents) return;
  Seal(*events);
  *events = {};
  events->Reserve(kSegmentEvents);
}

absl::Status RankWriter::TakeTail(EventColumns* events) {
  Cursor cursor = view_.Scan(Table::kHistory, prefix_);
  cursor.Seek(KeyOf(prefix_, static_cast<int64_t>(state_.sealed_seq + 1)));
  for (; cursor.Valid(); cursor.Next()) {
    const auto block = DecodeEvents(cursor.value());
    const size_t count = block.has_value() ? events->size() + block->events.size() : 0;
    if (!block.has_value() || block->sealed || count >= kSegmentEvents) {
      return DamagedRow(Table::kHistory, cursor.key());
    }
    events->Append(block->events, 0, block->events.size());
    batch_.DeleteUnseen(Table::kHistory, cursor.key());
  }
  state_.tail_events = 0;
  return cursor.status();
}

void RankWriter::PutEvents(const EventColumns& events, bool sealed) {
  batch_.PutUnseen(Table::kHistory, KeyOf(prefix_, events.seqs.front()),
                   EncodeEvents(events, sealed));
}

void RankWriter::Seal(const EventColumns& segment) {
  PutEvents(segment, /*sealed=*/true);
  for (size_t i = 0; i < segment.metrics.size(); ++i) {
    const MetricColumn& column = segment.columns[i];
    const auto key = [&](HistoryRow row) {
      return KeyOf(SeriesPrefix(run_, row, rank_, segment.metrics[i]), segment.seqs.front());
    };
    batch_.PutUnseen(Table::kHistory, key(HistoryRow::kValues), EncodeValues(column));
    batch_.PutUnseen(Table::kHistory, key(HistoryRow::kSummary),
                     EncodeSummary(segment.Summary(column)));
  }
  state_.sealed_seq = static_cast<uint64_t>(segment.seqs.back());
}

}  // namespace

void HistoryWriter::Add(std::string_view run, const RecordedEvents& events) {
  for (const auto& [rank, part] : events.parts()) {
    if (!part.empty()) added_[{std::string(run), static_cast<uint32_t>(rank)}].push_back(&part);
  }
}

absl::Status HistoryWriter::Write(const ReadView& view, Batch& batch) const {
  for (const auto& [key, events] : added_) {
    const auto& [run, rank] = key;
    if (absl::Status s = RankWriter(view, run, rank, batch).Append(events); !s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace ckpt::storage
