#include "tests/bench/noop_server.h"

#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "ckpt/v1/admin_service.grpc.pb.h"
#include "ckpt/v1/training_service.grpc.pb.h"
#include "ckpt/v1/weight_service.grpc.pb.h"

namespace ckpt::bench {
namespace {

// Reads to the end, then answers once.
class TrainReactor final : public grpc::ServerBidiReactor<v1::TrainRequest, v1::TrainResponse> {
 public:
  TrainReactor() { StartRead(&request_); }

  void OnReadDone(bool ok) override {
    if (!ok) return StartWrite(&response_);
    if (const auto& events = request_.events().events(); !events.empty()) {
      response_.mutable_progress()->set_durable_seq(events.rbegin()->seq());
    }
    StartRead(&request_);
  }
  void OnWriteDone(bool /*ok*/) override { Finish(grpc::Status::OK); }
  void OnDone() override { delete this; }

 private:
  v1::TrainRequest request_;
  v1::TrainResponse response_;
};

class UploadReactor final : public grpc::ServerBidiReactor<v1::UploadRequest, v1::UploadResponse> {
 public:
  UploadReactor() { StartRead(&request_); }

  void OnReadDone(bool ok) override {
    if (!ok) return StartWrite(&response_);
    StartRead(&request_);
  }
  void OnWriteDone(bool /*ok*/) override { Finish(grpc::Status::OK); }
  void OnDone() override { delete this; }

 private:
  v1::UploadRequest request_;
  v1::UploadResponse response_;
};

// Sends what is ready to be sent.
class DownloadReactor final : public grpc::ServerWriteReactor<v1::DownloadResponse> {
 public:
  explicit DownloadReactor(const std::vector<v1::DownloadResponse>& responses)
      : responses_(responses) {
    Next();
  }

  void OnWriteDone(bool ok) override { ok ? Next() : Finish(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }

 private:
  void Next() {
    if (next_ == responses_.size()) return Finish(grpc::Status::OK);
    StartWrite(&responses_[next_++]);
  }

  const std::vector<v1::DownloadResponse>& responses_;
  size_t next_ = 0;
};

class Training final : public v1::TrainingService::CallbackService {
  grpc::ServerBidiReactor<v1::TrainRequest, v1::TrainResponse>* Train(
      grpc::CallbackServerContext* /*context*/) override {
    return new TrainReactor;
  }
};

class Weights final : public v1::WeightService::CallbackService {
  grpc::ServerBidiReactor<v1::UploadRequest, v1::UploadResponse>* Upload(
      grpc::CallbackServerContext* /*context*/) override {
    return new UploadReactor;
  }
  grpc::ServerWriteReactor<v1::DownloadResponse>* Download(
      grpc::CallbackServerContext* /*context*/, const v1::DownloadRequest* request) override {
    Prepare(request->length());
    return new DownloadReactor(responses_);
  }

  // Makes the chunks, each in memory of its own as those of a checkpoint are, once for all calls
  // that are to come, one after the other.
  void Prepare(int64_t length) {
    const auto count = static_cast<size_t>(length / kChunkBytes);
    if (responses_.size() == count) return;
    responses_.resize(count);
    for (v1::DownloadResponse& response : responses_) {
      response.mutable_chunk()->mutable_data()->assign(kChunkBytes, 'x');
    }
  }

  std::vector<v1::DownloadResponse> responses_;
};

class Admin final : public v1::AdminService::CallbackService {
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* /*request*/,
                                      v1::Status* /*status*/) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

}  // namespace

int ServeNoop(const std::string& address) {
  Training training;
  Weights weights;
  Admin admin;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(&training);
  builder.RegisterService(&weights);
  builder.RegisterService(&admin);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::puts("ready");
  std::fflush(stdout);
  server->Wait();
  return 0;
}

}  // namespace ckpt::bench
