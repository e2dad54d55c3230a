#include "server/rpc/history.h"

#include <algorithm>
#include <string>
#include <utility>

#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::server {
namespace {

constexpr int kMaxMetrics = 10;
constexpr int kDefaultPoints = 1000;
constexpr int kMaxPoints = 10'000;  // of kMaxMetrics metrics they fit into one message of gRPC
constexpr int kMinPoints = 3;       // one range has as many

absl::StatusOr<storage::SeriesQuery::Method> MethodOf(v1::GetHistoryRequest::Method method) {
  using Method = storage::SeriesQuery::Method;
  switch (method) {
    case v1::GetHistoryRequest::METHOD_UNSPECIFIED:
    case v1::GetHistoryRequest::METHOD_EXTREMES:
      return Method::kExtremes;
    case v1::GetHistoryRequest::METHOD_SHAPE:
      return Method::kShape;
    case v1::GetHistoryRequest::METHOD_NEWEST:
      return Method::kNewest;
    default:
      return FieldInvalid("method", std::to_string(method), "it is unknown");
  }
}

absl::StatusOr<storage::SeriesQuery> QueryOf(const v1::GetHistoryRequest& request) {
  storage::SeriesQuery query;
  auto run = ParseRunName(request.run());
  if (!run.ok()) return run.status();
  query.run = *std::move(run);
  if (request.metrics_size() > kMaxMetrics) {
    return FieldInvalid("metrics", std::to_string(request.metrics_size()),
                        "there may be 10 of them");
  }
  if (request.rank() < 0) {
    return FieldInvalid("rank", std::to_string(request.rank()), "it must not be negative");
  }
  query.rank = request.rank();
  if (request.points() < 0) {
    return FieldInvalid("points", std::to_string(request.points()), "it must not be negative");
  }
  const auto method = MethodOf(request.method());
  if (!method.ok()) return method.status();
  query.method = *method;
  const int points =
      request.points() == 0 ? kDefaultPoints : std::min(request.points(), kMaxPoints);
  const bool newest = query.method == storage::SeriesQuery::Method::kNewest;
  query.points = static_cast<size_t>(newest ? points : std::max(points, kMinPoints));
  query.from_seq = request.from_seq();
  query.to_seq = request.to_seq();
  return query;
}

// The run's dictionary, as series without points.
absl::Status NameMetrics(const storage::CheckpointStore& store, const std::string& run,
                         v1::GetHistoryResponse* response) {
  const auto snapshot = store.LoadRun(run);
  if (!snapshot.ok()) return snapshot.status();
  for (const v1::MetricName& metric : snapshot->metrics) {
    response->add_series()->set_metric(metric.name());
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status GetHistoryOf(const storage::CheckpointStore& store,
                          const v1::GetHistoryRequest& request, v1::GetHistoryResponse* response) {
  auto query = QueryOf(request);
  if (!query.ok()) return query.status();
  if (request.metrics().empty()) return NameMetrics(store, query->run, response);
  for (const std::string& metric : request.metrics()) {
    query->metric = metric;
    const auto found = store.GetSeries(*query);
    if (!found.ok()) return found.status();
    v1::MetricSeries& series = *response->add_series();
    series.set_metric(metric);
    series.set_total_points(found->total);
    for (const storage::Point& point : found->points) {
      series.add_seqs(point.seq);
      series.add_epochs(point.epoch);
      series.add_batches(point.batch);
      series.add_times_unix_nanos(point.time_unix_nanos);
      series.add_values(point.value);
    }
  }
  return absl::OkStatus();
}

}  // namespace ckpt::server
