// The services of FakeDaemon.
#pragma once

#include <set>

#include "tests/unit/client/support/fake_daemon.h"

namespace ckpt::testing {

class FakeDaemon::Training final : public v1::TrainingService::Service {
 public:
  explicit Training(FakeDaemon& daemon) : daemon_(daemon) {}

  grpc::Status Train(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::TrainResponse, v1::TrainRequest>* stream) override;
  void SendToAll(const v1::TrainResponse& response);

 private:
  struct Stream {
    grpc::ServerReaderWriter<v1::TrainResponse, v1::TrainRequest>* io;
    std::map<uint32_t, std::string> names;
  };

  // All with the daemon's lock held; a bad status ends the stream.
  grpc::Status Greet(Stream& stream, const v1::Hello& hello);
  grpc::Status Take(Stream& stream, const v1::EventBatch& batch);
  grpc::Status TakeEvent(Stream& stream, v1::Event event);
  grpc::Status Send(Stream& stream, const v1::TrainResponse& response);
  // UNAVAILABLE at the message where the script cuts.
  grpc::Status Count();

  FakeDaemon& daemon_;
  std::set<Stream*> streams_;
  int messages_ = 0;
};

class FakeDaemon::Weights final : public v1::WeightService::Service {
 public:
  explicit Weights(FakeDaemon& daemon) : daemon_(daemon) {}

  grpc::Status Upload(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::UploadResponse, v1::UploadRequest>* stream) override;
  grpc::Status Download(grpc::ServerContext* context, const v1::DownloadRequest* request,
                        grpc::ServerWriter<v1::DownloadResponse>* writer) override;
  grpc::Status DiscardStaged(grpc::ServerContext* context, const v1::DiscardStagedRequest* request,
                             v1::DiscardStagedResponse* response) override;

 private:
  absl::StatusOr<std::string*> Staging(const v1::UploadStart& start);
  absl::Status TakeChunk(const v1::UploadChunk& chunk, std::string& content);
  absl::StatusOr<v1::UploadFinished> Finish(const v1::UploadStart& start,
                                            const v1::UploadFinish& finish, std::string& content);
  int64_t NextWindow(const std::string& content) const;
  bool Cut();

  FakeDaemon& daemon_;
  int messages_ = 0;
  int download_messages_ = 0;
  std::map<std::string, std::map<std::string, std::string>> parts_;  // of open saves
  std::map<std::string, std::string> finished_;                      // by save/part: digest
};

class FakeDaemon::Catalog final : public v1::CatalogService::Service {
 public:
  explicit Catalog(FakeDaemon& daemon) : daemon_(daemon) {}

  grpc::Status ListRuns(grpc::ServerContext*, const v1::ListRunsRequest* request,
                        v1::ListRunsResponse* response) override;
  grpc::Status GetRun(grpc::ServerContext*, const v1::GetRunRequest* request,
                      v1::Run* response) override;
  grpc::Status DeleteRun(grpc::ServerContext*, const v1::DeleteRunRequest* request,
                         google::protobuf::Empty* response) override;
  grpc::Status ListCheckpoints(grpc::ServerContext*, const v1::ListCheckpointsRequest* request,
                               v1::ListCheckpointsResponse* response) override;
  grpc::Status GetCheckpoint(grpc::ServerContext*, const v1::GetCheckpointRequest* request,
                             v1::Checkpoint* response) override;
  grpc::Status GetBestCheckpoint(grpc::ServerContext*, const v1::GetBestCheckpointRequest* request,
                                 v1::Checkpoint* response) override;
  grpc::Status DeleteCheckpoint(grpc::ServerContext*, const v1::DeleteCheckpointRequest* request,
                                google::protobuf::Empty* response) override;
  grpc::Status ListEvents(grpc::ServerContext*, const v1::ListEventsRequest* request,
                          v1::ListEventsResponse* response) override;
  grpc::Status GetHistory(grpc::ServerContext*, const v1::GetHistoryRequest* request,
                          v1::GetHistoryResponse* response) override;
  grpc::Status SaveRun(grpc::ServerContext* context, const v1::SaveRunRequest* request,
                       grpc::ServerWriter<v1::SaveRunResponse>* writer) override;

 private:
  FakeDaemon& daemon_;
};

class FakeDaemon::Admin final : public v1::AdminService::Service {
 public:
  explicit Admin(FakeDaemon& daemon) : daemon_(daemon) {}

  grpc::Status GetStatus(grpc::ServerContext*, const v1::GetStatusRequest* request,
                         v1::Status* response) override;

 private:
  FakeDaemon& daemon_;
};

}  // namespace ckpt::testing
