// Events of one run and rank, column by column, and the blocks that hold them (see column_block.h):
//
//   events   number: 1 if the values are in blocks of their own (a sealed segment), else 0;
//   integers
//            seqs, kinds, epochs, batches, times; integers ids of the metrics, ascending; if not
//            sealed, for each of them what a values block has
//   values   integers places (index of the event), doubles values; integers places, integers values
//   summary  integers counts, NaNs included; three times (smallest, largest, newest): integers
//   seqs,
//            epochs, batches, times, doubles values; an element for each 256 points
//
// What an event has besides (a decision, a stage) is in its row, see event_log.h. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ckpt/v1/resources.pb.h"
#include "storage/history/packed_events.h"
#include "storage/history/point.h"

namespace ckpt::storage {

// Events of a sealed segment, and most points in one block of a metric.
inline constexpr size_t kSegmentEvents = 1024;
// Points for which a summary has one element.
inline constexpr size_t kGroupPoints = 256;

// The values of one metric; `places` are indexes of events, ascending.
struct MetricColumn {
  std::vector<int64_t> places;
  std::vector<double> values;
  std::vector<int64_t> integer_places;  // of values that were given as whole numbers
  std::vector<int64_t> integers;
};

// Lists are of equal length. Not thread-safe.
class EventColumns {
 public:
  size_t size() const { return seqs.size(); }
  // Room for `events` in all; the more metrics come, the less for the values of each.
  void Reserve(size_t events);
  void Add(const EventNumbers& event);
  // Events `begin` to before `end` of `other`.
  void Append(const EventColumns& other, size_t begin, size_t end);
  // The event at `place`, but for its stage.
  v1::Event Event(size_t place) const;
  // The points of one column, by sequence number.
  std::vector<Point> Points(const MetricColumn& column) const;
  // They in brief: one group for each kGroupPoints of them.
  std::vector<Group> Summary(const MetricColumn& column) const;
  MetricColumn& Column(uint32_t metric);

  std::vector<int64_t> seqs;
  std::vector<int64_t> kinds;
  std::vector<int64_t> epochs;
  std::vector<int64_t> batches;
  std::vector<int64_t> times;
  std::vector<uint32_t> metrics;      // ids, in the order in which they came
  std::vector<MetricColumn> columns;  // of `metrics`

 private:
  Point PointAt(int64_t place, double value) const;

  std::unordered_map<uint32_t, size_t> index_;  // metric id to place in `columns`
  size_t next_ = 0;                             // place of the metric that is likely to come next
  size_t reserved_ = 0;                         // see Reserve
};

// The blocks. Decoding gives nothing if the block is damaged or is not what was asked for. At most
// kMaxColumnValues events.
std::string EncodeEvents(const EventColumns& events, bool sealed);
struct DecodedEvents {
  EventColumns events;  // of a sealed segment all of `columns` are empty
  bool sealed = false;
};
std::optional<DecodedEvents> DecodeEvents(std::string_view block);
std::string EncodeValues(const MetricColumn& column);
// Of a segment of `events` events.
std::optional<MetricColumn> DecodeValues(std::string_view block, size_t events);
std::string EncodeSummary(const std::vector<Group>& groups);
std::optional<std::vector<Group>> DecodeSummary(std::string_view block);

}  // namespace ckpt::storage
