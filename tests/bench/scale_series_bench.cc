#include <fmt/format.h>

#include "tests/bench/benches.h"
#include "tests/bench/growth.h"
#include "tests/bench/recorded_run.h"
#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

struct View {
  const char* name;
  const char* what;
  v1::GetHistoryRequest::Method method;
  double target;
  double aim;
};
constexpr View kViews[] = {
    {"newest", "the newest 1,000 points, of", v1::GetHistoryRequest::METHOD_NEWEST, 1.5, 1.2},
    {"plot", "1,000 points for a plot, of", v1::GetHistoryRequest::METHOD_EXTREMES, 8, 3},
};

std::string RunOf(int64_t points) { return fmt::format("points-{}", points); }

}  // namespace

std::vector<Result> BenchScaleSeries(const Options& options) {
  Servers servers(options);
  for (const int64_t points : options.scale_points) {
    RecordRun(servers.daemon(), RunOf(points), points);
  }
  Client client({.server = servers.daemon().server()});
  std::vector<Result> results;
  for (const View& view : kViews) {
    const Growth growth = {.name = view.name,
                           .what = view.what,
                           .sizes = options.scale_points,
                           .target = view.target,
                           .aim = view.aim};
    const auto ask = [&](int64_t points) { return AskHistory(client, RunOf(points), view.method); };
    for (Result& result : MeasureGrowth(options, growth, ask)) results.push_back(std::move(result));
  }
  return results;
}

}  // namespace ckpt::bench
