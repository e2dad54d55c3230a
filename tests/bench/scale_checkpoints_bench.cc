#include <fmt/format.h>

#include "ckpt/client.h"
#include "tests/bench/benches.h"
#include "tests/bench/growth.h"
#include "tests/bench/servers.h"
#include "tests/bench/stored_checkpoints.h"

namespace ckpt::bench {
namespace {

constexpr int kLimit = 20;

absl::Status List(Client& client, const std::string& run, const std::string& filter,
                  const std::string& order_by) {
  int found = 0;
  absl::Status status = client.ListCheckpoints(
      run, filter, order_by, kLimit, [&](const v1::Checkpoint&) { return ++found < kLimit; });
  if (status.ok() && found == 0) Fail("a list is empty");
  return status;
}

// Asked of a run with so many checkpoints.
struct Question {
  const char* name;  // of the command, but for "--limit 20"
  absl::Status (*ask)(Client& client, const std::string& run, int64_t count);
};
constexpr Question kQuestions[] = {
    {"best", [](Client& client, const std::string& run,
                int64_t) { return client.GetBest(run, "", "", "").status(); }},
    {"best --metric", [](Client& client, const std::string& run,
                         int64_t) { return client.GetBest(run, "accuracy", "", "").status(); }},
    {"list",
     [](Client& client, const std::string& run, int64_t) { return List(client, run, "", ""); }},
    {"list by id desc", [](Client& client, const std::string& run,
                           int64_t) { return List(client, run, "", "id desc"); }},
    {"list by metric", [](Client& client, const std::string& run,
                          int64_t) { return List(client, run, "", "metrics.loss"); }},
    // A filter that accepts the newest, and one that accepts forty here and there.
    {"list id >",
     [](Client& client, const std::string& run, int64_t count) {
       return List(client, run, fmt::format("id > {}", count - kLimit), "");
     }},
    {"list metric >",
     [](Client& client, const std::string& run, int64_t count) {
       const double share = 2.0 * kLimit / static_cast<double>(count);
       return List(client, run, fmt::format("metrics.accuracy > {}", 1 - share), "");
     }},
};

std::string RunOf(int64_t checkpoints) { return fmt::format("stored-{}", checkpoints); }

// Milliseconds for an answer.
double Ask(Client& client, const Question& question, int64_t count) {
  const double begin = Now();
  const absl::Status status = question.ask(client, RunOf(count), count);
  const double milliseconds = 1e3 * (Now() - begin);
  if (!status.ok()) Fail("the checkpoints cannot be read: " + status.ToString());
  return milliseconds;
}

}  // namespace

std::vector<Result> BenchScaleCheckpoints(const Options& options) {
  const integration::ScratchFolder folder(options.folder);
  integration::DaemonProcess daemon(folder);
  std::vector<StoredRun> runs;
  for (const int64_t count : options.scale_checkpoints) runs.push_back({RunOf(count), count});
  StoreCheckpoints(daemon.data_dir(), runs);
  if (!daemon.Start()) Fail("ckptd does not start: " + daemon.log());
  Client client({.server = daemon.server()});
  std::vector<Result> results;
  for (const Question& question : kQuestions) {
    const Growth growth = {.name = question.name,
                           .what = fmt::format("{}, of", question.name),
                           .sizes = options.scale_checkpoints};
    const auto ask = [&](int64_t count) { return Ask(client, question, count); };
    for (Result& result : MeasureGrowth(options, growth, ask)) results.push_back(std::move(result));
  }
  return results;
}

}  // namespace ckpt::bench
