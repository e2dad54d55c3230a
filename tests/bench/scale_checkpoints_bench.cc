#include <fmt/format.h>

#include "ckpt/client.h"
#include "tests/bench/benches.h"
#include "tests/bench/growth.h"
#include "tests/bench/servers.h"
#include "tests/bench/stored_checkpoints.h"

namespace ckpt::bench {
namespace {

constexpr int kLimit = 20;

// `ckptctl best RUN` or `ckptctl list RUN --limit 20`, with more flags.
struct Question {
  const char* name;
  bool best;
  const char* metric_or_filter;
  const char* policy_or_order;
};
constexpr Question kQuestions[] = {
    {"best", true, "", ""},
    {"best --metric", true, "accuracy", ""},
    {"list", false, "", ""},
    {"list by id desc", false, "", "id desc"},
    {"list by metric", false, "", "metrics.loss"},
};

std::string RunOf(int64_t checkpoints) { return fmt::format("stored-{}", checkpoints); }

// Milliseconds for an answer.
double Ask(Client& client, const std::string& run, const Question& question) {
  const double begin = Now();
  int found = 0;
  const absl::Status status =
      question.best
          ? client.GetBest(run, question.metric_or_filter, "", question.policy_or_order).status()
          : client.ListCheckpoints(run, question.metric_or_filter, question.policy_or_order, kLimit,
                                   [&](const v1::Checkpoint&) { return ++found < kLimit; });
  const double milliseconds = 1e3 * (Now() - begin);
  if (!status.ok()) Fail("the checkpoints cannot be read: " + status.ToString());
  if (!question.best && found == 0) Fail("a list is empty");
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
    const auto ask = [&](int64_t count) { return Ask(client, RunOf(count), question); };
    for (Result& result : MeasureGrowth(options, growth, ask)) results.push_back(std::move(result));
  }
  return results;
}

}  // namespace ckpt::bench
