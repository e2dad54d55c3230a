// CatalogService: questions to the store, deletions through the run's actor.
#pragma once

#include "ckpt/v1/catalog_service.grpc.pb.h"
#include "server/server_context.h"

namespace ckpt::server {

class CatalogServiceImpl final : public v1::CatalogService::CallbackService {
 public:
  explicit CatalogServiceImpl(const ServerContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* ListRuns(grpc::CallbackServerContext* call,
                                     const v1::ListRunsRequest* request,
                                     v1::ListRunsResponse* response) override;
  grpc::ServerUnaryReactor* GetRun(grpc::CallbackServerContext* call,
                                   const v1::GetRunRequest* request, v1::Run* response) override;
  grpc::ServerUnaryReactor* DeleteRun(grpc::CallbackServerContext* call,
                                      const v1::DeleteRunRequest* request,
                                      google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* ListCheckpoints(grpc::CallbackServerContext* call,
                                            const v1::ListCheckpointsRequest* request,
                                            v1::ListCheckpointsResponse* response) override;
  grpc::ServerUnaryReactor* GetCheckpoint(grpc::CallbackServerContext* call,
                                          const v1::GetCheckpointRequest* request,
                                          v1::Checkpoint* response) override;
  grpc::ServerUnaryReactor* GetBestCheckpoint(grpc::CallbackServerContext* call,
                                              const v1::GetBestCheckpointRequest* request,
                                              v1::Checkpoint* response) override;
  grpc::ServerUnaryReactor* DeleteCheckpoint(grpc::CallbackServerContext* call,
                                             const v1::DeleteCheckpointRequest* request,
                                             google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* ListEvents(grpc::CallbackServerContext* call,
                                       const v1::ListEventsRequest* request,
                                       v1::ListEventsResponse* response) override;
  grpc::ServerUnaryReactor* GetHistory(grpc::CallbackServerContext* call,
                                       const v1::GetHistoryRequest* request,
                                       v1::GetHistoryResponse* response) override;
  grpc::ServerWriteReactor<v1::SaveRunResponse>* SaveRun(
      grpc::CallbackServerContext* call, const v1::SaveRunRequest* request) override;

 private:
  // The store knows no streams: it says DISCONNECTED of a run that is RUNNING.
  void ShowConnected(v1::Run& run) const;

  const ServerContext& context_;
};

}  // namespace ckpt::server
