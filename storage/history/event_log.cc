#include "storage/history/event_log.h"

#include <string>
#include <utility>

#include "storage/base/errors.h"
#include "storage/catalog/key_encoding.h"
#include "storage/catalog/page_token.h"
#include "storage/catalog/rows.h"

namespace ckpt::storage {

void AppendEvents(std::string_view run, std::span<const EventRow> events, Batch& batch) {
  std::string row;
  for (const EventRow& event : events) {
    event.record.SerializeToString(&row);
    batch.PutUnseen(Table::kEvents, EventKey(run, event.rank, event.record.event().seq()), row);
  }
}

absl::StatusOr<EventPage> FindEvents(const ReadView& view, std::string_view run, int rank,
                                     int page_size, std::string_view page_token) {
  const std::string rank_text = std::to_string(rank);
  const Question question = {"events", run, rank_text};
  const absl::StatusOr<std::string> after = ReadPageToken(question, page_token);
  if (!after.ok()) return after.status();
  if (!after->empty() && after->size() != kU64Bytes) return PageTokenInvalid();

  EventPage page;
  const std::string prefix = EventPrefix(run, rank);
  const size_t max_rows = PageRows(page_size);
  size_t bytes = 0;
  std::string last;  // sequence number of the page's last event, as in its key
  Cursor cursor = view.Scan(Table::kEvents, prefix);
  cursor.Seek(prefix + *after);
  if (!after->empty() && cursor.Valid() && cursor.key().substr(prefix.size()) == *after) {
    cursor.Next();
  }
  for (; cursor.Valid(); cursor.Next()) {
    bytes += cursor.value().size();
    if (page.events.size() == max_rows || (bytes > kMaxPageBytes && !page.events.empty())) {
      page.next_page_token = MakePageToken(question, last);
      break;
    }
    auto record = ParseRow<v1::EventRecord>(Table::kEvents, cursor.key(), cursor.value());
    if (!record.ok()) return record.status();
    page.events.push_back(*std::move(record));
    last = cursor.key().substr(prefix.size());
  }
  if (absl::Status s = cursor.status(); !s.ok()) return s;
  return page;
}

absl::StatusOr<std::optional<v1::EventRecord>> FindEvent(const ReadView& view, std::string_view run,
                                                         int rank, uint64_t seq) {
  if (!HasKey(run)) return std::nullopt;
  return ReadRow<v1::EventRecord>(view, Table::kEvents, EventKey(run, rank, seq));
}

}  // namespace ckpt::storage
