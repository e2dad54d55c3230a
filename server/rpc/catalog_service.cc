#include "server/rpc/catalog_service.h"

#include <algorithm>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "server/rpc/history.h"
#include "server/rpc/save_stream.h"
#include "server/rpc/unary.h"
#include "server/run/best_checkpoint.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::server {
namespace {

constexpr int kDefaultPageSize = 100;
constexpr int kMaxPageSize = 1000;

absl::StatusOr<int> PageSize(int asked) {
  if (asked < 0) {
    return FieldInvalid("page_size", std::to_string(asked), "it must not be negative");
  }
  return asked == 0 ? kDefaultPageSize : std::min(asked, kMaxPageSize);
}

// The event's metrics by name, as the run's dictionary has them.
v1::RecordedEvent Recorded(v1::EventRecord record,
                           const std::unordered_map<uint32_t, std::string>& names) {
  v1::RecordedEvent event;
  *event.mutable_event() = std::move(*record.mutable_event());
  if (record.has_decision()) *event.mutable_decision() = std::move(*record.mutable_decision());
  v1::Event& stored = *event.mutable_event();
  const auto name = [&](uint32_t id) {
    const auto found = names.find(id);
    return found == names.end() ? "#" + std::to_string(id) : found->second;
  };
  for (int i = 0; i < std::min(stored.metric_ids_size(), stored.values_size()); ++i) {
    (*event.mutable_metrics())[name(stored.metric_ids(i))] = stored.values(i);
  }
  for (int i = 0; i < std::min(stored.integer_metric_ids_size(), stored.integers_size()); ++i) {
    (*event.mutable_metrics())[name(stored.integer_metric_ids(i))] =
        static_cast<double>(stored.integers(i));
  }
  stored.clear_metric_ids();
  stored.clear_values();
  stored.clear_integer_metric_ids();
  stored.clear_integers();
  return event;
}

absl::Status ListEventsOf(const storage::CheckpointStore& store,
                          const v1::ListEventsRequest& request, v1::ListEventsResponse* response) {
  const auto run = ParseRunName(request.parent());
  if (!run.ok()) return run.status();
  const auto page_size = PageSize(request.page_size());
  if (!page_size.ok()) return page_size.status();
  auto snapshot = store.LoadRun(*run);
  if (!snapshot.ok()) return snapshot.status();
  std::unordered_map<uint32_t, std::string> names;
  for (const v1::MetricName& metric : snapshot->metrics) names[metric.id()] = metric.name();
  auto page = store.ListEvents(*run, request.rank(), *page_size, request.page_token());
  if (!page.ok()) return page.status();
  for (v1::EventRecord& record : page->events) {
    *response->add_events() = Recorded(std::move(record), names);
  }
  response->set_next_page_token(std::move(page->next_page_token));
  return absl::OkStatus();
}

absl::Status ListCheckpointsOf(const storage::CheckpointStore& store,
                               const v1::ListCheckpointsRequest& request,
                               v1::ListCheckpointsResponse* response) {
  storage::CheckpointQuery query;
  if (request.parent() != "runs/-") {
    auto run = ParseRunName(request.parent());
    if (!run.ok()) return run.status();
    query.run = *std::move(run);
  }
  const auto page_size = PageSize(request.page_size());
  if (!page_size.ok()) return page_size.status();
  query.page_size = *page_size;
  query.page_token = request.page_token();
  query.filter = request.filter();
  query.order_by = request.order_by();
  auto page = store.ListCheckpoints(query);
  if (!page.ok()) return page.status();
  for (v1::Checkpoint& checkpoint : page->checkpoints) {
    checkpoint.clear_policy_states();
    *response->add_checkpoints() = std::move(checkpoint);
  }
  response->set_next_page_token(std::move(page->next_page_token));
  return absl::OkStatus();
}

}  // namespace

void CatalogServiceImpl::ShowConnected(v1::Run& run) const {
  const auto id = ParseRunName(run.name());
  if (id.ok() && context_.runs.Connected(*id)) run.set_state(v1::Run::STATE_RUNNING);
}

grpc::ServerUnaryReactor* CatalogServiceImpl::ListRuns(grpc::CallbackServerContext* call,
                                                       const v1::ListRunsRequest* request,
                                                       v1::ListRunsResponse* response) {
  return OnDisk(context_.executors, call, [this, request, response]() -> absl::Status {
    const auto page_size = PageSize(request->page_size());
    if (!page_size.ok()) return page_size.status();
    auto page = context_.store.ListRuns(*page_size, request->page_token(), request->filter());
    if (!page.ok()) return page.status();
    for (v1::Run& run : page->runs) {
      ShowConnected(run);
      *response->add_runs() = std::move(run);
    }
    response->set_next_page_token(std::move(page->next_page_token));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CatalogServiceImpl::GetRun(grpc::CallbackServerContext* call,
                                                     const v1::GetRunRequest* request,
                                                     v1::Run* response) {
  return OnDisk(context_.executors, call, [this, request, response]() -> absl::Status {
    const auto id = ParseRunName(request->name());
    if (!id.ok()) return id.status();
    absl::Status status = Assign(context_.store.GetRun(*id), response);
    if (status.ok()) ShowConnected(*response);
    return status;
  });
}

grpc::ServerUnaryReactor* CatalogServiceImpl::ListCheckpoints(
    grpc::CallbackServerContext* call, const v1::ListCheckpointsRequest* request,
    v1::ListCheckpointsResponse* response) {
  return OnDisk(context_.executors, call, [this, request, response] {
    return ListCheckpointsOf(context_.store, *request, response);
  });
}

grpc::ServerUnaryReactor* CatalogServiceImpl::GetCheckpoint(grpc::CallbackServerContext* call,
                                                            const v1::GetCheckpointRequest* request,
                                                            v1::Checkpoint* response) {
  return OnDisk(context_.executors, call, [this, request, response]() -> absl::Status {
    const auto ref = ParseCheckpointName(request->name());
    if (!ref.ok()) return ref.status();
    return Assign(FindCheckpoint(context_.store, ref->run, ref->id), response);
  });
}

grpc::ServerUnaryReactor* CatalogServiceImpl::GetBestCheckpoint(
    grpc::CallbackServerContext* call, const v1::GetBestCheckpointRequest* request,
    v1::Checkpoint* response) {
  return OnDisk(context_.executors, call, [this, request, response]() -> absl::Status {
    const auto run = ParseRunName(request->run());
    if (!run.ok()) return run.status();
    return Assign(
        FindBest(context_.store, *run, request->metric(), request->mode(), request->policy()),
        response);
  });
}

grpc::ServerUnaryReactor* CatalogServiceImpl::ListEvents(grpc::CallbackServerContext* call,
                                                         const v1::ListEventsRequest* request,
                                                         v1::ListEventsResponse* response) {
  return OnDisk(context_.executors, call, [this, request, response] {
    return ListEventsOf(context_.store, *request, response);
  });
}

grpc::ServerUnaryReactor* CatalogServiceImpl::GetHistory(grpc::CallbackServerContext* call,
                                                         const v1::GetHistoryRequest* request,
                                                         v1::GetHistoryResponse* response) {
  return OnDisk(context_.executors, call, [this, request, response] {
    return GetHistoryOf(context_.store, *request, response);
  });
}

grpc::ServerUnaryReactor* CatalogServiceImpl::DeleteRun(grpc::CallbackServerContext* call,
                                                        const v1::DeleteRunRequest* request,
                                                        google::protobuf::Empty* /*response*/) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  const auto run = ParseRunName(request->name());
  if (!run.ok()) {
    reactor->Finish(ToGrpcStatus(run.status()));
    return reactor;
  }
  context_.runs.Open(
      *run, /*create=*/false, [reactor](absl::StatusOr<std::shared_ptr<RunActor>> actor) {
        if (!actor.ok()) return reactor->Finish(ToGrpcStatus(actor.status()));
        (*actor)->DeleteRun(
            [reactor](const absl::Status& status) { reactor->Finish(ToGrpcStatus(status)); });
      });
  return reactor;
}

grpc::ServerUnaryReactor* CatalogServiceImpl::DeleteCheckpoint(
    grpc::CallbackServerContext* call, const v1::DeleteCheckpointRequest* request,
    google::protobuf::Empty* /*response*/) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  const auto ref = ParseCheckpointName(request->name());
  absl::Status status = ref.status();
  if (status.ok() && IsAlias(ref->id)) {
    status = FieldInvalid("name", request->name(),
                          "an alias may mean another checkpoint tomorrow; give the number");
  }
  if (!status.ok()) {
    reactor->Finish(ToGrpcStatus(status));
    return reactor;
  }
  context_.runs.Open(ref->run, /*create=*/false,
                     [reactor, id = ref->id](absl::StatusOr<std::shared_ptr<RunActor>> actor) {
                       if (!actor.ok()) return reactor->Finish(ToGrpcStatus(actor.status()));
                       (*actor)->DeleteCheckpoint(id, [reactor](const absl::Status& done) {
                         reactor->Finish(ToGrpcStatus(done));
                       });
                     });
  return reactor;
}

grpc::ServerWriteReactor<v1::SaveRunResponse>* CatalogServiceImpl::SaveRun(
    grpc::CallbackServerContext* /*call*/, const v1::SaveRunRequest* request) {
  return SaveStream::Start(context_.runs, request->name());
}

}  // namespace ckpt::server
