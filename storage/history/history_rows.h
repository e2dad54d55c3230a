// The rows of the table `history`, read. Errors: STORAGE_FAILED and INDEX_DAMAGED.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/catalog/index_db.h"
#include "storage/history/event_columns.h"

namespace ckpt::storage {

// Where the columns of a run and rank stand.
struct HistoryState {
  uint64_t first_seq = 0;   // what is older has rows alone; 0: there is nothing yet
  uint64_t last_seq = 0;    // newest event
  uint64_t sealed_seq = 0;  // newest event in a sealed segment
  uint64_t tail_events = 0;
};

std::string EncodeState(const HistoryState& state);
absl::StatusOr<HistoryState> ReadState(const ReadView& view, std::string_view run, uint32_t rank);

// Walks the blocks of events of one run and rank, by sequence number. As a Cursor.
class EventBlocks {
 public:
  EventBlocks(const ReadView& view, std::string_view run, uint32_t rank);

  // To the block that holds `seq`, or else the newest before it, or else the oldest.
  void Seek(uint64_t seq);
  void Next() { cursor_.Next(); }
  void Prev() { cursor_.Prev(); }
  bool Valid() const { return cursor_.Valid(); }
  absl::Status status() const { return cursor_.status(); }
  uint64_t first_seq() const;

  // The block, without the values of a sealed segment.
  absl::StatusOr<DecodedEvents> Read() const;
  // With all values.
  absl::StatusOr<EventColumns> ReadAll() const;

 private:
  const ReadView& view_;
  const std::string run_;
  const uint32_t rank_;
  const std::string prefix_;
  Cursor cursor_;
};

// Reads the values of a sealed segment into its columns.
absl::Status ReadValues(const ReadView& view, std::string_view run, uint32_t rank,
                        EventColumns* events);

}  // namespace ckpt::storage
