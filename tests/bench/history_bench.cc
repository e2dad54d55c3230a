#include <fmt/format.h>

#include <filesystem>

#include "tests/bench/benches.h"
#include "tests/bench/event_stream.h"
#include "tests/bench/growth.h"
#include "tests/bench/recorded_run.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

constexpr auto kNewest = v1::GetHistoryRequest::METHOD_NEWEST;
constexpr int kQuestions = 100;  // of each run in each round

int64_t SizeBelow(const std::string& folder) {
  int64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) bytes += static_cast<int64_t>(entry.file_size());
  }
  return bytes;
}

// The middle of the times for either run, asked in turn.
Sample AskInTurn(Client& client) {
  std::vector<double> longer;
  std::vector<double> shorter;
  for (int i = 0; i < kQuestions; ++i) {
    longer.push_back(AskHistory(client, "long", kNewest));
    shorter.push_back(AskHistory(client, "short", kNewest));
  }
  return {.product = Median(longer), .baseline = Median(shorter)};
}

}  // namespace

std::vector<Result> BenchHistory(const Options& options) {
  Servers servers(options);
  const std::string index = servers.daemon().data_dir() + "/index";
  RecordRun(servers.daemon(), "short", options.short_history);
  RecordRun(servers.daemon(), "long", options.long_history);
  const int64_t points =
      (options.short_history + options.long_history) * int64_t{EventStream::metrics()};
  // A start stores what is in the write-ahead log, which is as long whatever was recorded.
  if (servers.daemon().Stop() != 0 || !servers.daemon().Start()) Fail("ckptd does not start again");
  const auto bytes = static_cast<double>(SizeBelow(index));

  Client client({.server = servers.daemon().server()});
  std::vector<Sample> samples;
  AskInTurn(client);  // connects, and reads both for the first time
  for (int i = 0; i < options.pairs; ++i) samples.push_back(AskInTurn(client));
  Result time = Summarize(samples);
  time.name = "history/newest";
  time.what = fmt::format("p50 of the newest 1,000 points of a metric with {} / with {}",
                          Scientific(options.long_history), Scientific(options.short_history));
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
