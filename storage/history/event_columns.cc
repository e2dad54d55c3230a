#include "storage/history/event_columns.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

#include "storage/history/column_block.h"

namespace ckpt::storage {
namespace {

constexpr int64_t kMaxKind = 255;

// Copies `from[begin, end)` behind `to`.
void AppendRange(const std::vector<int64_t>& from, size_t begin, size_t end,
                 std::vector<int64_t>& to) {
  const auto at = [&](size_t i) { return from.begin() + static_cast<std::ptrdiff_t>(i); };
  to.insert(to.end(), at(begin), at(end));
}

// The same for values whose places are in [begin, end), which become [first, …).
template <typename Value>
void AppendPlaces(const std::vector<int64_t>& places, const std::vector<Value>& values,
                  int64_t begin, int64_t end, int64_t first, std::vector<int64_t>& to_places,
                  std::vector<Value>& to_values) {
  const auto from = std::lower_bound(places.begin(), places.end(), begin);
  const auto until = std::lower_bound(from, places.end(), end);
  for (auto place = from; place != until; ++place) to_places.push_back(*place - begin + first);
  to_values.insert(to_values.end(), values.begin() + (from - places.begin()),
                   values.begin() + (until - places.begin()));
}

bool AreIndexes(const std::vector<int64_t>& places, size_t events) {
  int64_t before = -1;
  for (const int64_t place : places) {
    if (place <= before) return false;
    before = place;
  }
  return before < static_cast<int64_t>(events);
}

void AddColumn(const MetricColumn& column, BlockWriter& writer) {
  writer.AddIntegers(column.places);
  writer.AddDoubles(column.values);
  writer.AddIntegers(column.integer_places);
  writer.AddIntegers(column.integers);
}

bool ReadColumn(size_t events, BlockReader& reader, MetricColumn* column) {
  return reader.ReadIntegers(&column->places) && reader.ReadDoubles(&column->values) &&
         reader.ReadIntegers(&column->integer_places) && reader.ReadIntegers(&column->integers) &&
         column->places.size() == column->values.size() &&
         column->integer_places.size() == column->integers.size() &&
         AreIndexes(column->places, events) && AreIndexes(column->integer_places, events);
}

// Places of the columns in the order of their metrics.
std::vector<size_t> InOrder(const std::vector<uint32_t>& metrics) {
  std::vector<size_t> order(metrics.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return metrics[a] < metrics[b]; });
  return order;
}

// `column` with whole numbers among its values, in the order of their events: itself, or `merged`.
const MetricColumn& WithoutIntegers(const MetricColumn& column, MetricColumn* merged) {
  if (column.integers.empty()) return column;
  size_t value = 0;
  size_t integer = 0;
  while (value < column.places.size() || integer < column.integer_places.size()) {
    const bool whole =
        value == column.places.size() || (integer < column.integer_places.size() &&
                                          column.integer_places[integer] < column.places[value]);
    merged->places.push_back(whole ? column.integer_places[integer] : column.places[value]);
    merged->values.push_back(whole ? static_cast<double>(column.integers[integer])
                                   : column.values[value]);
    ++(whole ? integer : value);
  }
  return *merged;
}

bool ReadEvents(BlockReader& reader, EventColumns* events) {
  for (auto* column :
       {&events->seqs, &events->kinds, &events->epochs, &events->batches, &events->times}) {
    if (!reader.ReadIntegers(column) || column->size() != events->seqs.size()) return false;
  }
  uint64_t before = 0;
  for (const int64_t seq : events->seqs) {
    if (static_cast<uint64_t>(seq) <= before) return false;
    before = static_cast<uint64_t>(seq);
  }
  for (const int64_t kind : events->kinds) {
    if (kind < 0 || kind > kMaxKind) return false;
  }
  std::vector<int64_t> metrics;
  if (!reader.ReadIntegers(&metrics)) return false;
  for (const int64_t metric : metrics) {
    if (metric < 0 || metric > std::numeric_limits<uint32_t>::max()) return false;
    events->Column(static_cast<uint32_t>(metric));
  }
  return events->metrics.size() == metrics.size();  // no one twice
}

// The points of a summary that are one of the three of their groups.
using Member = Point Group::*;
constexpr Member kMembers[] = {&Group::smallest, &Group::largest, &Group::newest};

}  // namespace

// ---- EventColumns

MetricColumn& EventColumns::Column(uint32_t metric) {
  // Most events have the same metrics in the same order.
  next_ = next_ < metrics.size() ? next_ : 0;
  if (next_ < metrics.size() && metrics[next_] == metric) return columns[next_++];
  const auto [found, is_new] = index_.try_emplace(metric, columns.size());
  if (is_new) {
    metrics.push_back(metric);
    MetricColumn& added = columns.emplace_back();
    // A run may have thousands of metrics, of which a segment has each but once.
    const size_t room = reserved_ / columns.size();
    added.places.reserve(room);
    added.values.reserve(room);
  }
  next_ = found->second + 1;
  return columns[found->second];
}

void EventColumns::Reserve(size_t events) {
  for (auto* column : {&seqs, &kinds, &epochs, &batches, &times}) column->reserve(events);
  reserved_ = events;
}

void EventColumns::Add(const EventNumbers& event) {
  const auto place = static_cast<int64_t>(size());
  seqs.push_back(static_cast<int64_t>(event.seq));
  kinds.push_back(event.kind);
  epochs.push_back(event.epoch);
  batches.push_back(event.batch);
  times.push_back(event.time_unix_nanos);
  for (size_t i = 0; i < event.metrics.size(); ++i) {
    MetricColumn& column = Column(event.metrics[i]);
    column.places.push_back(place);
    column.values.push_back(event.values[i]);
  }
  for (size_t i = 0; i < event.integer_metrics.size(); ++i) {
    MetricColumn& column = Column(event.integer_metrics[i]);
    column.integer_places.push_back(place);
    column.integers.push_back(event.integers[i]);
  }
}

void EventColumns::Append(const EventColumns& other, size_t begin, size_t end) {
  const auto first = static_cast<int64_t>(size());
  AppendRange(other.seqs, begin, end, seqs);
  AppendRange(other.kinds, begin, end, kinds);
  AppendRange(other.epochs, begin, end, epochs);
  AppendRange(other.batches, begin, end, batches);
  AppendRange(other.times, begin, end, times);
  const auto from = static_cast<int64_t>(begin);
  const auto until = static_cast<int64_t>(end);
  for (size_t i = 0; i < other.metrics.size(); ++i) {
    const MetricColumn& column = other.columns[i];
    MetricColumn part;
    AppendPlaces(column.places, column.values, from, until, first, part.places, part.values);
    AppendPlaces(column.integer_places, column.integers, from, until, first, part.integer_places,
                 part.integers);
    if (part.places.empty() && part.integer_places.empty()) continue;
    MetricColumn& to = Column(other.metrics[i]);
    to.places.insert(to.places.end(), part.places.begin(), part.places.end());
    to.values.insert(to.values.end(), part.values.begin(), part.values.end());
    to.integer_places.insert(to.integer_places.end(), part.integer_places.begin(),
                             part.integer_places.end());
    to.integers.insert(to.integers.end(), part.integers.begin(), part.integers.end());
  }
}

v1::Event EventColumns::Event(size_t place) const {
  v1::Event event;
  event.set_seq(static_cast<uint64_t>(seqs[place]));
  event.set_kind(static_cast<v1::Event::Kind>(kinds[place]));
  event.set_epoch(epochs[place]);
  event.set_batch(batches[place]);
  event.set_time_unix_nanos(times[place]);
  const auto wanted = static_cast<int64_t>(place);
  for (size_t i = 0; i < metrics.size(); ++i) {
    const MetricColumn& column = columns[i];
    const auto at = std::lower_bound(column.places.begin(), column.places.end(), wanted);
    if (at != column.places.end() && *at == wanted) {
      event.add_metric_ids(metrics[i]);
      event.add_values(column.values[static_cast<size_t>(at - column.places.begin())]);
    }
    const auto& integers = column.integer_places;
    const auto whole = std::lower_bound(integers.begin(), integers.end(), wanted);
    if (whole != integers.end() && *whole == wanted) {
      event.add_integer_metric_ids(metrics[i]);
      event.add_integers(column.integers[static_cast<size_t>(whole - integers.begin())]);
    }
  }
  return event;
}

Point EventColumns::PointAt(int64_t index, double value) const {
  const auto place = static_cast<size_t>(index);
  const bool epoch_end = kinds[place] == v1::Event::KIND_EPOCH_END;
  return {static_cast<uint64_t>(seqs[place]), epochs[place], epoch_end ? -1 : batches[place],
          times[place], value};
}

std::vector<Point> EventColumns::Points(const MetricColumn& column) const {
  MetricColumn merged;
  const MetricColumn& all = WithoutIntegers(column, &merged);
  std::vector<Point> points;
  points.reserve(all.places.size());
  for (size_t i = 0; i < all.places.size(); ++i) {
    points.push_back(PointAt(all.places[i], all.values[i]));
  }
  return points;
}

std::vector<Group> EventColumns::Summary(const MetricColumn& column) const {
  MetricColumn merged;
  const MetricColumn& all = WithoutIntegers(column, &merged);
  std::vector<Group> groups;
  for (size_t begin = 0; begin < all.values.size(); begin += kGroupPoints) {
    const size_t end = std::min(begin + kGroupPoints, all.values.size());
    size_t smallest = begin;
    size_t largest = begin;
    for (size_t i = begin + 1; i < end; ++i) {
      if (IsSmaller(all.values[i], all.values[smallest])) smallest = i;
      if (IsLarger(all.values[i], all.values[largest])) largest = i;
    }
    const auto point = [&](size_t i) { return PointAt(all.places[i], all.values[i]); };
    groups.push_back(
        {static_cast<int64_t>(end - begin), point(smallest), point(largest), point(end - 1)});
  }
  return groups;
}

// ---- Blocks

std::string EncodeEvents(const EventColumns& events, bool sealed) {
  BlockWriter writer;
  writer.AddNumber(sealed ? 1 : 0);
  for (const auto* column :
       {&events.seqs, &events.kinds, &events.epochs, &events.batches, &events.times}) {
    writer.AddIntegers(*column);
  }
  const std::vector<size_t> order = InOrder(events.metrics);
  std::vector<int64_t> metrics;
  for (const size_t place : order) metrics.push_back(events.metrics[place]);
  writer.AddIntegers(metrics);
  if (!sealed) {
    for (const size_t place : order) AddColumn(events.columns[place], writer);
  }
  return std::move(writer).Finish();
}

std::optional<DecodedEvents> DecodeEvents(std::string_view block) {
  auto reader = BlockReader::Open(block);
  DecodedEvents decoded;
  uint64_t sealed = 0;
  if (!reader.has_value() || !reader->ReadNumber(&sealed) || sealed > 1) return std::nullopt;
  decoded.sealed = sealed == 1;
  EventColumns& events = decoded.events;
  if (!ReadEvents(*reader, &events)) return std::nullopt;
  for (MetricColumn& column : events.columns) {
    if (decoded.sealed) break;
    if (!ReadColumn(events.size(), *reader, &column)) return std::nullopt;
  }
  if (!reader->AtEnd()) return std::nullopt;
  return decoded;
}

std::string EncodeValues(const MetricColumn& column) {
  BlockWriter writer;
  AddColumn(column, writer);
  return std::move(writer).Finish();
}

std::optional<MetricColumn> DecodeValues(std::string_view block, size_t events) {
  auto reader = BlockReader::Open(block);
  MetricColumn column;
  if (!reader.has_value() || !ReadColumn(events, *reader, &column) || !reader->AtEnd()) {
    return std::nullopt;
  }
  return column;
}

std::string EncodeSummary(const std::vector<Group>& groups) {
  BlockWriter writer;
  std::vector<int64_t> column;
  const auto add = [&](auto field) {
    column.clear();
    for (const Group& group : groups) column.push_back(field(group));
    writer.AddIntegers(column);
  };
  add([](const Group& group) { return group.count; });
  for (const Member member : kMembers) {
    add([&](const Group& group) { return static_cast<int64_t>((group.*member).seq); });
    add([&](const Group& group) { return (group.*member).epoch; });
    add([&](const Group& group) { return (group.*member).batch; });
    add([&](const Group& group) { return (group.*member).time_unix_nanos; });
    std::vector<double> values;
    for (const Group& group : groups) values.push_back((group.*member).value);
    writer.AddDoubles(values);
  }
  return std::move(writer).Finish();
}

std::optional<std::vector<Group>> DecodeSummary(std::string_view block) {
  auto reader = BlockReader::Open(block);
  std::vector<int64_t> column;
  if (!reader.has_value() || !reader->ReadIntegers(&column)) return std::nullopt;
  std::vector<Group> groups(column.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    groups[i].count = column[i];
    if (column[i] < 1 || column[i] > static_cast<int64_t>(kGroupPoints)) return std::nullopt;
  }
  const auto read = [&](auto assign) {
    if (!reader->ReadIntegers(&column) || column.size() != groups.size()) return false;
    for (size_t i = 0; i < groups.size(); ++i) assign(groups[i], column[i]);
    return true;
  };
  for (const Member member : kMembers) {
    std::vector<double> values;
    const bool whole =
        read(
            [&](Group& group, int64_t seq) { (group.*member).seq = static_cast<uint64_t>(seq); }) &&
        read([&](Group& group, int64_t epoch) { (group.*member).epoch = epoch; }) &&
        read([&](Group& group, int64_t batch) { (group.*member).batch = batch; }) &&
        read([&](Group& group, int64_t time) { (group.*member).time_unix_nanos = time; }) &&
        reader->ReadDoubles(&values) && values.size() == groups.size();
    if (!whole) return std::nullopt;
    for (size_t i = 0; i < groups.size(); ++i) (groups[i].*member).value = values[i];
  }
  if (!reader->AtEnd()) return std::nullopt;
  return groups;
}

}  // namespace ckpt::storage
