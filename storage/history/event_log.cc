#include "storage/history/event_log.h"

#include <algorithm>
#include <string>
#include <utility>

#include "storage/base/errors.h"
#include "storage/catalog/key_encoding.h"
#include "storage/catalog/page_token.h"
#include "storage/catalog/rows.h"
#include "storage/history/history_rows.h"

namespace ckpt::storage {
namespace {

// Events of one run and rank by sequence number, where each comes from its row if it has one, else
// from the columns.
class EventReader {
 public:
  // Reads events whose sequence numbers are `from` or above.
  EventReader(const ReadView& view, std::string_view run, uint32_t rank, uint64_t from)
      : row_prefix_(EventPrefix(run, rank)),
        rows_(view.Scan(Table::kEvents, row_prefix_)),
        blocks_(view, run, rank) {
    std::string key = row_prefix_;
    AppendU64(key, from);
    rows_.Seek(key);
    blocks_.Seek(from);
    status_ = Load(from);
  }

  // The next event; nothing at the end.
  absl::StatusOr<std::optional<v1::EventRecord>> Next();

 private:
  // The block under the cursor, from sequence number `from` on.
  absl::Status Load(uint64_t from);

  const std::string row_prefix_;
  Cursor rows_;
  EventBlocks blocks_;
  EventColumns columns_;
  size_t place_ = 0;  // in `columns_`
  absl::Status status_;
};

absl::Status EventReader::Load(uint64_t from) {
  for (; blocks_.Valid(); blocks_.Next()) {
    auto columns = blocks_.ReadAll();
    if (!columns.ok()) return columns.status();
    columns_ = *std::move(columns);
    const auto begin = std::lower_bound(
        columns_.seqs.begin(), columns_.seqs.end(), from,
        [](int64_t seq, uint64_t wanted) { return static_cast<uint64_t>(seq) < wanted; });
    place_ = static_cast<size_t>(begin - columns_.seqs.begin());
    if (place_ < columns_.size()) return absl::OkStatus();
  }
  columns_ = EventColumns();
  place_ = 0;
  return blocks_.status();
}

absl::StatusOr<std::optional<v1::EventRecord>> EventReader::Next() {
  if (!status_.ok()) return status_;
  if (!rows_.status().ok()) return rows_.status();
  std::optional<v1::EventRecord> record;
  const bool has_column = place_ < columns_.size();
  const uint64_t column_seq = has_column ? static_cast<uint64_t>(columns_.seqs[place_]) : 0;
  if (rows_.Valid()) {
    auto row = ParseRow<v1::EventRecord>(Table::kEvents, rows_.key(), rows_.value());
    if (!row.ok()) return row.status();
    if (!has_column || row->event().seq() <= column_seq) {
      record = *std::move(row);
      rows_.Next();
    }
  }
  if (has_column && (!record.has_value() || record->event().seq() == column_seq)) {
    if (!record.has_value()) *record.emplace().mutable_event() = columns_.Event(place_);
    if (++place_ == columns_.size()) {
      blocks_.Next();
      status_ = Load(column_seq + 1);
    }
  }
  return record;
}

}  // namespace

void PutEventRows(std::string_view run, const RecordedEvents& events, Batch& batch) {
  std::string bytes;
  for (const auto& [rank, record] : events.whole()) {
    record.SerializeToString(&bytes);
    batch.PutUnseen(Table::kEvents, EventKey(run, rank, record.event().seq()), bytes);
  }
}

absl::StatusOr<EventPage> FindEvents(const ReadView& view, std::string_view run, int rank,
                                     int page_size, std::string_view page_token) {
  const std::string rank_text = std::to_string(rank);
  const Question question = {"events", run, rank_text};
  const absl::StatusOr<std::string> after = ReadPageToken(question, page_token);
  if (!after.ok()) return after.status();
  if (!after->empty() && after->size() != kU64Bytes) return PageTokenInvalid();
  const uint64_t from = after->empty() ? 0 : DecodeU64(*after) + 1;

  EventPage page;
  const size_t max_rows = PageRows(page_size);
  size_t bytes = 0;
  EventReader reader(view, run, static_cast<uint32_t>(rank), from);
  while (true) {
    auto record = reader.Next();
    if (!record.ok()) return record.status();
    if (!record->has_value()) return page;
    bytes += (*record)->ByteSizeLong();
    if (page.events.size() == max_rows || (bytes > kMaxPageBytes && !page.events.empty())) {
      std::string last;
      AppendU64(last, page.events.back().event().seq());
      page.next_page_token = MakePageToken(question, last);
      return page;
    }
    page.events.push_back(**std::move(record));
  }
}

absl::StatusOr<std::optional<v1::EventRecord>> FindEvent(const ReadView& view, std::string_view run,
                                                         int rank, uint64_t seq) {
  if (!HasKey(run)) return std::nullopt;
  auto row = ReadRow<v1::EventRecord>(view, Table::kEvents, EventKey(run, rank, seq));
  if (!row.ok() || row->has_value()) return row;
  auto record = EventReader(view, run, static_cast<uint32_t>(rank), seq).Next();
  if (!record.ok() || (record->has_value() && (*record)->event().seq() == seq)) return record;
  return std::nullopt;
}

}  // namespace ckpt::storage
