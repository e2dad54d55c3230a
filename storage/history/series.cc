#include "storage/history/series.h"

#include <algorithm>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "ckpt/v1/records.pb.h"
#include "storage/catalog/key_encoding.h"
#include "storage/catalog/rows.h"
#include "storage/history/downsample.h"
#include "storage/history/history_rows.h"

namespace ckpt::storage {
namespace {

// Ranges of the first of two passes for each point of the second.
constexpr size_t kRangesPerShapePoint = 2;
constexpr size_t kMembers = 3;  // points of one range

class SeriesReader {
 public:
  SeriesReader(const ReadView& view, const SeriesQuery& query, uint32_t metric)
      : view_(view),
        query_(query),
        rank_(static_cast<uint32_t>(query.rank)),
        metric_(metric),
        row_prefix_(EventPrefix(query.run, rank_)) {}

  absl::StatusOr<Series> Read();

 private:
  // Takes points in order (or, going back, in reverse), until it returns false.
  using Take = absl::FunctionRef<bool(std::span<const Point>)>;

  absl::StatusOr<uint64_t> LastSeq();
  absl::Status ReadNewest(Series* series);
  absl::Status ReadExtremes(size_t ranges, Series* series);

  absl::Status ReadRows(bool forward, Take take);
  absl::Status ReadTail(bool forward, Take take);
  absl::Status ReadSegments(bool forward, Take take);
  absl::Status ReadSummaries(Buckets* buckets, int64_t* total);
  // The metric's points of the sealed segment that begins with `seq`, those within the range.
  absl::StatusOr<std::vector<Point>> SegmentPoints(uint64_t seq, std::string_view values);
  std::vector<Point> PointsOf(const EventColumns& events) const;
  void Trim(std::vector<Point>* points) const;

  std::string KeyOf(std::string prefix, uint64_t seq) const {
    AppendU64(prefix, seq);
    return prefix;
  }
  static uint64_t SeqOf(std::string_view key) {
    return DecodeU64(key.substr(key.size() - kU64Bytes));
  }

  const ReadView& view_;
  const SeriesQuery& query_;
  const uint32_t rank_;
  const uint32_t metric_;
  const std::string row_prefix_;
  HistoryState state_;
  uint64_t from_ = 0;
  uint64_t to_ = 0;
};

absl::StatusOr<Series> SeriesReader::Read() {
  const auto state = ReadState(view_, query_.run, rank_);
  if (!state.ok()) return state.status();
  state_ = *state;
  const auto last = LastSeq();
  if (!last.ok()) return last.status();
  from_ = std::max<uint64_t>(query_.from_seq, 1);
  to_ = query_.to_seq == 0 ? *last : std::min(query_.to_seq, *last);
  Series series;
  if (from_ > to_) return series;
  absl::Status status;
  switch (query_.method) {
    case SeriesQuery::Method::kNewest:
      status = ReadNewest(&series);
      break;
    case SeriesQuery::Method::kExtremes:
      status = ReadExtremes(std::max<size_t>(query_.points / kMembers, 1), &series);
      break;
    case SeriesQuery::Method::kShape:
      status = ReadExtremes(query_.points * kRangesPerShapePoint, &series);
      series.points = LargestTriangles(series.points, query_.points);
      break;
  }
  if (!status.ok()) return status;
  return series;
}

absl::StatusOr<uint64_t> SeriesReader::LastSeq() {
  if (state_.last_seq != 0) return state_.last_seq;
  Cursor rows = view_.Scan(Table::kEvents, row_prefix_);
  rows.SeekToLast();
  if (!rows.Valid()) return rows.status().ok() ? absl::StatusOr<uint64_t>(0) : rows.status();
  return SeqOf(rows.key());
}

void SeriesReader::Trim(std::vector<Point>* points) const {
  const auto before = [](const Point& point, uint64_t seq) { return point.seq < seq; };
  points->erase(std::lower_bound(points->begin(), points->end(), to_ + 1, before), points->end());
  points->erase(points->begin(), std::lower_bound(points->begin(), points->end(), from_, before));
}

std::vector<Point> SeriesReader::PointsOf(const EventColumns& events) const {
  std::vector<Point> points;
  for (size_t i = 0; i < events.metrics.size(); ++i) {
    if (events.metrics[i] == metric_) points = events.Points(events.columns[i]);
  }
  Trim(&points);
  return points;
}

// ---- The three places of points, oldest first.

absl::Status SeriesReader::ReadRows(bool forward, Take take) {
  const uint64_t end =
      state_.first_seq == 0 ? std::numeric_limits<uint64_t>::max() : state_.first_seq;
  const uint64_t last = std::min(to_, end - 1);
  if (from_ > last) return absl::OkStatus();
  Cursor rows = view_.Scan(Table::kEvents, row_prefix_);
  forward ? rows.Seek(KeyOf(row_prefix_, from_)) : rows.SeekForPrev(KeyOf(row_prefix_, last));
  for (; rows.Valid(); forward ? rows.Next() : rows.Prev()) {
    const uint64_t seq = SeqOf(rows.key());
    if (seq < from_ || seq > last) break;
    const auto row = ParseRow<v1::EventRecord>(Table::kEvents, rows.key(), rows.value());
    if (!row.ok()) return row.status();
    EventColumns events;
    events.Add(NumbersOf(row->event()));
    if (!take(PointsOf(events))) return absl::OkStatus();
  }
  return rows.status();
}

absl::Status SeriesReader::ReadTail(bool forward, Take take) {
  const uint64_t begin = std::max(from_, state_.sealed_seq + 1);
  if (to_ < begin) return absl::OkStatus();
  EventBlocks blocks(view_, query_.run, rank_);
  blocks.Seek(forward ? begin : to_);
  for (; blocks.Valid(); forward ? blocks.Next() : blocks.Prev()) {
    const uint64_t seq = blocks.first_seq();
    const bool sealed = seq <= state_.sealed_seq;
    if (sealed && forward) continue;  // the last one before the tail
    if (sealed || seq > to_) break;
    const auto block = blocks.Read();
    if (!block.ok()) return block.status();
    if (!take(PointsOf(block->events))) break;
  }
  return blocks.status();
}

absl::StatusOr<std::vector<Point>> SeriesReader::SegmentPoints(uint64_t seq,
                                                               std::string_view values) {
  EventBlocks blocks(view_, query_.run, rank_);
  blocks.Seek(seq);
  auto block = blocks.Valid() ? blocks.Read() : absl::StatusOr<DecodedEvents>(blocks.status());
  if (!block.ok()) return block.status();
  const auto column = DecodeValues(values, block->events.size());
  if (!column.has_value() || blocks.first_seq() != seq) {
    return DamagedRow(Table::kHistory,
                      KeyOf(SeriesPrefix(query_.run, HistoryRow::kValues, rank_, metric_), seq));
  }
  std::vector<Point> points = block->events.Points(*column);
  Trim(&points);
  return points;
}

absl::Status SeriesReader::ReadSegments(bool forward, Take take) {
  const std::string prefix = SeriesPrefix(query_.run, HistoryRow::kValues, rank_, metric_);
  Cursor values = view_.Scan(Table::kHistory, prefix);
  values.SeekForPrev(KeyOf(prefix, forward ? from_ : to_));
  if (forward && !values.Valid()) values.SeekToFirst();
  for (; values.Valid(); forward ? values.Next() : values.Prev()) {
    const uint64_t seq = SeqOf(values.key());
    if (forward && seq > to_) break;
    const auto points = SegmentPoints(seq, values.value());
    if (!points.ok()) return points.status();
    if (!take(*points) || (!forward && seq <= from_)) break;
  }
  return values.status();
}

absl::Status SeriesReader::ReadSummaries(Buckets* buckets, int64_t* total) {
  const std::string prefix = SeriesPrefix(query_.run, HistoryRow::kSummary, rank_, metric_);
  Cursor summaries = view_.Scan(Table::kHistory, prefix);
  summaries.SeekForPrev(KeyOf(prefix, from_));
  if (!summaries.Valid() && summaries.status().ok()) summaries.SeekToFirst();
  for (; summaries.Valid(); summaries.Next()) {
    const uint64_t seq = SeqOf(summaries.key());
    if (seq > to_) break;
    const auto groups = DecodeSummary(summaries.value());
    if (!groups.has_value() || groups->empty()) {
      return DamagedRow(Table::kHistory, summaries.key());
    }
    if (seq >= from_ && groups->back().newest.seq <= to_) {
      for (const Group& group : *groups) {
        if (group.newest.seq < seq || group.newest.seq > to_) {
          return DamagedRow(Table::kHistory, summaries.key());
        }
        buckets->Add(group);
        *total += group.count;
      }
      continue;
    }
    // The range begins or ends within it.
    const std::string key =
        KeyOf(SeriesPrefix(query_.run, HistoryRow::kValues, rank_, metric_), seq);
    const auto values = view_.Get(Table::kHistory, key);
    if (!values.ok()) return values.status();
    if (!values->has_value()) return DamagedRow(Table::kHistory, key);
    const auto points = SegmentPoints(seq, **values);
    if (!points.ok()) return points.status();
    for (const Point& point : *points) buckets->Add(point);
    *total += static_cast<int64_t>(points->size());
  }
  return summaries.status();
}

// ---- Ways to choose.

absl::Status SeriesReader::ReadNewest(Series* series) {
  std::vector<Point>& found = series->points;  // newest first
  const auto take = [&](std::span<const Point> points) {
    const size_t wanted = std::min(points.size(), query_.points - found.size());
    found.insert(found.end(), points.rbegin(),
                 points.rbegin() + static_cast<std::ptrdiff_t>(wanted));
    return found.size() < query_.points;
  };
  absl::Status status = ReadTail(/*forward=*/false, take);
  if (status.ok() && found.size() < query_.points) status = ReadSegments(/*forward=*/false, take);
  if (status.ok() && found.size() < query_.points) status = ReadRows(/*forward=*/false, take);
  std::reverse(found.begin(), found.end());
  return status;
}

absl::Status SeriesReader::ReadExtremes(size_t ranges, Series* series) {
  Buckets buckets(from_, to_, ranges);
  const auto take = [&](std::span<const Point> points) {
    for (const Point& point : points) buckets.Add(point);
    series->total += static_cast<int64_t>(points.size());
    return true;
  };
  absl::Status status = ReadRows(/*forward=*/true, take);
  if (status.ok()) {
    status = buckets.width() >= kGroupPoints ? ReadSummaries(&buckets, &series->total)
                                             : ReadSegments(/*forward=*/true, take);
  }
  if (status.ok()) status = ReadTail(/*forward=*/true, take);
  series->points = buckets.Points();
  return status;
}

}  // namespace

absl::StatusOr<Series> FindSeries(const ReadView& view, const SeriesQuery& query, uint32_t metric) {
  return SeriesReader(view, query, metric).Read();
}

}  // namespace ckpt::storage
