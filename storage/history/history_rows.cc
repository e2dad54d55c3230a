#include "storage/history/history_rows.h"

#include <utility>
#include <vector>

#include "storage/catalog/key_encoding.h"
#include "storage/catalog/rows.h"
#include "storage/history/column_block.h"

namespace ckpt::storage {

std::string EncodeState(const HistoryState& state) {
  BlockWriter writer;
  for (const uint64_t number :
       {state.first_seq, state.last_seq, state.sealed_seq, state.tail_events}) {
    writer.AddNumber(number);
  }
  return std::move(writer).Finish();
}

absl::StatusOr<HistoryState> ReadState(const ReadView& view, std::string_view run, uint32_t rank) {
  const std::string key = HistoryPrefix(run, HistoryRow::kState, rank);
  const auto row = view.Get(Table::kHistory, key);
  if (!row.ok()) return row.status();
  HistoryState state;
  if (!row->has_value()) return state;
  auto reader = BlockReader::Open(**row);
  if (!reader.has_value()) return DamagedRow(Table::kHistory, key);
  for (uint64_t* number :
       {&state.first_seq, &state.last_seq, &state.sealed_seq, &state.tail_events}) {
    if (!reader->ReadNumber(number)) return DamagedRow(Table::kHistory, key);
  }
  return state;
}

EventBlocks::EventBlocks(const ReadView& view, std::string_view run, uint32_t rank)
    : view_(view),
      run_(run),
      rank_(rank),
      prefix_(HistoryPrefix(run, HistoryRow::kEvents, rank)),
      cursor_(view.Scan(Table::kHistory, prefix_)) {}

void EventBlocks::Seek(uint64_t seq) {
  std::string key = prefix_;
  AppendU64(key, seq);
  cursor_.SeekForPrev(key);
  if (!cursor_.Valid() && cursor_.status().ok()) cursor_.SeekToFirst();
}

uint64_t EventBlocks::first_seq() const {
  const std::string_view seq = cursor_.key().substr(prefix_.size());
  return seq.size() == kU64Bytes ? DecodeU64(seq) : 0;
}

absl::StatusOr<DecodedEvents> EventBlocks::Read() const {
  auto decoded = DecodeEvents(cursor_.value());
  const bool named = decoded.has_value() && decoded->events.size() > 0 &&
                     static_cast<uint64_t>(decoded->events.seqs.front()) == first_seq();
  if (!named) return DamagedRow(Table::kHistory, cursor_.key());
  return *std::move(decoded);
}

absl::StatusOr<EventColumns> EventBlocks::ReadAll() const {
  auto decoded = Read();
  if (!decoded.ok()) return decoded.status();
  if (decoded->sealed) {
    absl::Status status = ReadValues(view_, run_, rank_, &decoded->events);
    if (!status.ok()) return status;
  }
  return std::move(decoded->events);
}

absl::Status ReadValues(const ReadView& view, std::string_view run, uint32_t rank,
                        EventColumns* events) {
  for (size_t i = 0; i < events->metrics.size(); ++i) {
    std::string key = SeriesPrefix(run, HistoryRow::kValues, rank, events->metrics[i]);
    AppendU64(key, static_cast<uint64_t>(events->seqs.front()));
    const auto row = view.Get(Table::kHistory, key);
    if (!row.ok()) return row.status();
    auto column = row->has_value() ? DecodeValues(**row, events->size()) : std::nullopt;
    if (!column.has_value()) return DamagedRow(Table::kHistory, key);
    events->columns[i] = *std::move(column);
  }
  return absl::OkStatus();
}

}  // namespace ckpt::storage
