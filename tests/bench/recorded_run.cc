#include "tests/bench/recorded_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "tests/bench/event_stream.h"

namespace ckpt::bench {
namespace {

constexpr int64_t kEventsPerMessage = 1000;
constexpr int kPoints = 1000;

}  // namespace

void RecordRun(integration::DaemonProcess& daemon, const std::string& run, int64_t events) {
  EventStream stream(Connect(daemon.server()));
  stream.Hello(run);
  for (int64_t sent = 0; sent < events; sent += kEventsPerMessage) {
    stream.SendBatchEnds(std::min(kEventsPerMessage, events - sent));
  }
  stream.AwaitDurable();
}

double AskHistory(Client& client, const std::string& run, v1::GetHistoryRequest::Method method) {
  v1::GetHistoryRequest request;
  request.add_metrics("loss");
  request.set_points(kPoints);
  request.set_method(method);
  const double begin = Now();
  const auto history = client.GetHistory(run, request);
  const double milliseconds = 1e3 * (Now() - begin);
  if (!history.ok()) Fail("the history cannot be read: " + history.status().ToString());
  // Extremes of a range are up to three points, and may be fewer.
  const int points = history->series(0).values_size();
  const bool all = method == v1::GetHistoryRequest::METHOD_NEWEST;
  if (all ? points != kPoints : points < kPoints / 3 || points > kPoints) {
    Fail(fmt::format("the history has {} points", points));
  }
  return milliseconds;
}

}  // namespace ckpt::bench
