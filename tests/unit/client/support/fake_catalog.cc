#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "tests/unit/client/support/fake_services.h"

namespace ckpt::testing {
namespace {

// Pages of at most two items, so that clients have to ask again; the token is an index.
constexpr size_t kPage = 2;

template <typename Items, typename Request, typename Add>
std::string Page(const Items& items, const Request& request, Add add) {
  const size_t begin = request.page_token().empty() ? 0 : std::stoul(request.page_token());
  size_t index = 0;
  for (const auto& item : items) {
    if (index >= begin && index < begin + kPage) add(item);
    ++index;
  }
  return begin + kPage < items.size() ? std::to_string(begin + kPage) : "";
}

}  // namespace

grpc::Status FakeDaemon::Catalog::ListRuns(grpc::ServerContext* /*context*/,
                                           const v1::ListRunsRequest* request,
                                           v1::ListRunsResponse* response) {
  std::lock_guard lock(daemon_.mutex_);
  response->set_next_page_token(Page(
      daemon_.runs, *request, [&](const auto& named) { *response->add_runs() = named.second; }));
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Catalog::GetRun(grpc::ServerContext* /*context*/,
                                         const v1::GetRunRequest* request, v1::Run* response) {
  std::lock_guard lock(daemon_.mutex_);
  const auto found = daemon_.runs.find(request->name());
  if (found == daemon_.runs.end()) return ToGrpc(RunNotFound(request->name()));
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Catalog::DeleteRun(grpc::ServerContext* /*context*/,
                                            const v1::DeleteRunRequest* request,
                                            google::protobuf::Empty* /*response*/) {
  std::lock_guard lock(daemon_.mutex_);
  if (daemon_.runs.erase(request->name()) == 0) return ToGrpc(RunNotFound(request->name()));
  daemon_.deleted.push_back(request->name());
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Catalog::ListCheckpoints(grpc::ServerContext* /*context*/,
                                                  const v1::ListCheckpointsRequest* request,
                                                  v1::ListCheckpointsResponse* response) {
  std::lock_guard lock(daemon_.mutex_);
  if (request->filter() == "nonsense") return ToGrpc(QueryInvalid("filter", "nonsense", 0, "no"));
  std::map<std::string, v1::Checkpoint> listed;
  for (const auto& [name, checkpoint] : daemon_.checkpoints) {
    const bool wanted = request->parent() == "runs/-" || name.starts_with(request->parent() + "/");
    if (wanted) listed.emplace(name, checkpoint);
  }
  response->set_next_page_token(Page(
      listed, *request, [&](const auto& named) { *response->add_checkpoints() = named.second; }));
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Catalog::GetCheckpoint(grpc::ServerContext* /*context*/,
                                                const v1::GetCheckpointRequest* request,
                                                v1::Checkpoint* response) {
  std::lock_guard lock(daemon_.mutex_);
  std::string name = request->name();
  if (name.ends_with("/best")) {
    return ToGrpc(AliasUnresolved("run", "best", "no policy ranks"));
  }
  if (name.ends_with("/latest") && !daemon_.checkpoints.empty()) {
    name = daemon_.checkpoints.rbegin()->first;
  }
  const auto found = daemon_.checkpoints.find(name);
  if (found == daemon_.checkpoints.end()) return ToGrpc(CheckpointNotFound(name));
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Catalog::GetBestCheckpoint(grpc::ServerContext* /*context*/,
                                                    const v1::GetBestCheckpointRequest* request,
                                                    v1::Checkpoint* response) {
  std::lock_guard lock(daemon_.mutex_);
  if (daemon_.checkpoints.empty()) return ToGrpc(AliasUnresolved(request->run(), "best", "none"));
  *response = daemon_.checkpoints.begin()->second;
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Catalog::DeleteCheckpoint(grpc::ServerContext* /*context*/,
                                                   const v1::DeleteCheckpointRequest* request,
                                                   google::protobuf::Empty* /*response*/) {
  std::lock_guard lock(daemon_.mutex_);
  if (daemon_.checkpoints.erase(request->name()) == 0) {
    return ToGrpc(CheckpointNotFound(request->name()));
  }
  daemon_.deleted.push_back(request->name());
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Catalog::ListEvents(grpc::ServerContext* /*context*/,
                                             const v1::ListEventsRequest* request,
                                             v1::ListEventsResponse* response) {
  std::lock_guard lock(daemon_.mutex_);
  response->set_next_page_token(Page(daemon_.events, *request, [&](const v1::Event& event) {
    *response->add_events()->mutable_event() = event;
  }));
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Catalog::GetHistory(grpc::ServerContext* /*context*/,
                                             const v1::GetHistoryRequest* request,
                                             v1::GetHistoryResponse* response) {
  std::lock_guard lock(daemon_.mutex_);
  daemon_.history_requests.push_back(*request);
  if (!daemon_.runs.contains(request->run())) return ToGrpc(RunNotFound(request->run()));
  for (const v1::MetricSeries& series : daemon_.series) *response->add_series() = series;
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Admin::GetStatus(grpc::ServerContext* /*context*/,
                                          const v1::GetStatusRequest* /*request*/,
                                          v1::Status* response) {
  std::lock_guard lock(daemon_.mutex_);
  *response = daemon_.status;
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Catalog::SaveRun(grpc::ServerContext* /*context*/,
                                          const v1::SaveRunRequest* request,
                                          grpc::ServerWriter<v1::SaveRunResponse>* writer) {
  std::lock_guard lock(daemon_.mutex_);
  if (!daemon_.runs.contains(request->name())) return ToGrpc(RunNotFound(request->name()));
  if (!daemon_.script.save_refused.ok()) return ToGrpc(daemon_.script.save_refused);
  v1::SaveRunResponse response;
  v1::Checkpoint& save = *response.mutable_checkpoint();
  save.set_name(request->name() + "/checkpoints/7");
  save.set_state(v1::Checkpoint::STATE_SAVING);
  writer->Write(response);
  if (!daemon_.script.save_failed.ok()) return ToGrpc(daemon_.script.save_failed);
  save.set_state(v1::Checkpoint::STATE_COMMITTED);
  writer->Write(response);
  return grpc::Status::OK;
}

}  // namespace ckpt::testing
