#include <fmt/format.h>

#include "tests/bench/benches.h"
#include "tests/bench/event_stream.h"
#include "tests/bench/point_database.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

constexpr int64_t kEventsPerMessage = 64;

// Events a second, until the last one is durable, or dropped.
double Rate(EventStream& stream, int64_t events, int64_t per_message, bool half_close) {
  const double begin = Now();
  for (int64_t sent = 0; sent < events; sent += per_message) stream.SendBatchEnds(per_message);
  if (half_close) stream.HalfClose();
  stream.AwaitDurable();
  return static_cast<double>(events) / (Now() - begin);
}

Result BenchMessages(const Options& options, Servers& servers, int64_t per_message) {
  // One event a message is slow on both sides; a tenth of the events tells as much.
  const int64_t wanted = per_message == 1 ? options.events / 10 : options.events;
  const int64_t events = wanted / per_message * per_message;
  const auto daemon_channel = Connect(servers.daemon().server());
  const auto noop_channel = Connect(servers.noop_server());
  EventStream product(daemon_channel);
  product.Hello(fmt::format("events-{}", per_message));
  std::vector<Sample> samples;
  for (int i = 0; i <= options.pairs; ++i) {
    EventStream baseline(noop_channel);
    const Sample sample = {.product = Rate(product, events, per_message, false),
                           .baseline = Rate(baseline, events, per_message, true)};
    if (i > 0) samples.push_back(sample);  // the first one connects
  }
  Result result = Summarize(samples);
  result.name = fmt::format("events/{}", per_message);
  result.what = fmt::format(
      "durable events, {} a message, 4 metrics each / no-op gRPC stream of the same messages",
      per_message);
  result.unit = "events/s";
  result.target = 0.7;
  result.aim = 0.85;
  return result;
}

// Points a second, beside a program that puts them into RocksDB by itself.
Result BenchDatabase(const Options& options, Servers& servers) {
  const int64_t events = options.events / kEventsPerMessage * kEventsPerMessage;
  const int64_t points = events * EventStream::metrics();
  EventStream product(Connect(servers.daemon().server()));
  product.Hello("events-database");
  PointDatabase database(servers.PathOf("points"));
  std::vector<Sample> samples;
  for (int i = 0; i <= options.pairs; ++i) {
    Sample sample;
    sample.product = EventStream::metrics() * Rate(product, events, kEventsPerMessage, false);
    const double begin = Now();
    database.Append(points);
    sample.baseline = static_cast<double>(points) / (Now() - begin);
    if (i > 0) samples.push_back(sample);  // the first one connects
  }
  Result result = Summarize(samples);
  result.name = "events/rocksdb";
  result.what = fmt::format(
      "durable points, {} events a message / RocksDB's own batches of 1,000, synced at the end",
      kEventsPerMessage);
  result.unit = "points/s";
  result.target = 0.4;
  result.aim = 0.7;
  return result;
}

}  // namespace

std::vector<Result> BenchEvents(const Options& options) {
  Servers servers(options);
  return {BenchMessages(options, servers, 1), BenchMessages(options, servers, kEventsPerMessage),
          BenchDatabase(options, servers)};
}

}  // namespace ckpt::bench
