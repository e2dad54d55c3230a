#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <future>

#include "ckpt/client.h"
#include "tests/bench/benches.h"
#include "tests/bench/event_stream.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

constexpr int64_t kEventsPerMessage = 1000;
constexpr int kPoints = 1000;
constexpr int kQuestions = 100;  // of each run in each round

// Makes `run` with `events` batch ends, all of them durable. Returns how many points it has.
int64_t Record(Servers& servers, const std::string& run, int64_t events) {
  EventStream stream(Connect(servers.daemon().server()));
  stream.Hello(run);
  const uint64_t last = static_cast<uint64_t>(events);
  auto durable = std::async(std::launch::async, [&] { stream.AwaitDurable(last); });
  for (int64_t sent = 0; sent < events; sent += kEventsPerMessage) {
    stream.SendBatchEnds(std::min(kEventsPerMessage, events - sent));
  }
  durable.wait();
  return events * EventStream::metrics();
}

int64_t SizeBelow(const std::string& folder) {
  int64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) bytes += static_cast<int64_t>(entry.file_size());
  }
  return bytes;
}

// Milliseconds for the newest points of one metric.
double Ask(Client& client, const std::string& run) {
  v1::GetHistoryRequest request;
  request.add_metrics("loss");
  request.set_points(kPoints);
  request.set_method(v1::GetHistoryRequest::METHOD_NEWEST);
  const double begin = Now();
  const auto history = client.GetHistory(run, request);
  const double milliseconds = 1e3 * (Now() - begin);
  if (!history.ok() || history->series(0).values_size() != kPoints) {
    Fail("the history cannot be read: " + history.status().ToString());
  }
  return milliseconds;
}

// The middle of the times for either run, asked in turn.
Sample AskInTurn(Client& client) {
  std::vector<double> longer;
  std::vector<double> shorter;
  for (int i = 0; i < kQuestions; ++i) {
    longer.push_back(Ask(client, "long"));
    shorter.push_back(Ask(client, "short"));
  }
  return {.product = Median(longer), .baseline = Median(shorter)};
}

}  // namespace

std::vector<Result> BenchHistory(const Options& options) {
  Servers servers(options);
  const std::string index = servers.daemon().data_dir() + "/index";
  const int64_t points = Record(servers, "short", options.short_history) +
                         Record(servers, "long", options.long_history);
  // A start stores what is in the write-ahead log, which is as long whatever was recorded.
  if (servers.daemon().Stop() != 0 || !servers.daemon().Start()) Fail("ckptd does not start again");
  const auto bytes = static_cast<double>(SizeBelow(index));

  Client client({.server = servers.daemon().server()});
  std::vector<Sample> samples;
  AskInTurn(client);  // connects, and reads both for the first time
  for (int i = 0; i < options.pairs; ++i) samples.push_back(AskInTurn(client));
  Result time = Summarize(samples);
  time.name = "history/newest";
  time.what = fmt::format("p50 of the newest {} points of a metric with {:.0e} / with {:.0e}",
                          kPoints, static_cast<double>(options.long_history),
                          static_cast<double>(options.short_history));
  time.unit = "ms";
  time.better = Better::kLower;
  time.target = 1.5;
  time.aim = 1.2;

  const Sample sample = {.product = bytes / static_cast<double>(points), .baseline = 1};
  Result size = Summarize({&sample, 1});
  size.name = "history/bytes";
  size.what = fmt::format("the whole index for each stored point, {} metrics an event / one byte",
                          EventStream::metrics());
  size.unit = "B";
  size.better = Better::kLower;
  size.target = 8;
  size.aim = 4;
  return {time, size};
}

}  // namespace ckpt::bench
