// A daemon and raw stubs to it.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ckpt/v1/admin_service.grpc.pb.h"
#include "ckpt/v1/catalog_service.grpc.pb.h"
#include "ckpt/v1/training_service.grpc.pb.h"
#include "ckpt/v1/weight_service.grpc.pb.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/scratch_folder.h"

namespace ckpt::wire {

// The reason in a status's ErrorInfo, without prefix; empty if there is none.
std::string ReasonOf(const grpc::Status& status);
// One value of its metadata; empty if there is none.
std::string MetadataOf(const grpc::Status& status, const std::string& key);

v1::CheckpointPolicy BestPolicy(const std::string& filepath = "m-{epoch:02d}");
// Event of an epoch's end with metric id 1, named by Epochs.
v1::Event EpochEnd(uint64_t seq, int64_t epoch, double loss);
v1::TrainRequest Events(std::vector<v1::Event> events, const std::string& metric = "loss");

// A Train stream.
class Trainer {
 public:
  explicit Trainer(const std::shared_ptr<grpc::Channel>& channel);
  ~Trainer();

  // Sends a Hello for runs/r; gives the Welcome, or nothing if the stream ended instead.
  std::optional<v1::Welcome> Hello(v1::Hello hello = {});
  bool Send(const v1::TrainRequest& request) { return stream_->Write(request); }
  // The next message, or nothing at the end.
  std::optional<v1::TrainResponse> Read();
  // Messages up to the next Decision, Outcome or Progress.
  std::optional<v1::Decision> NextDecision();
  std::optional<v1::SaveOutcome> NextOutcome();
  // Reads on until events up to `seq` are durable.
  bool WaitDurable(uint64_t seq);
  // Sends one epoch's end and gives the decision on it.
  std::optional<v1::Decision> Epoch(uint64_t seq, int64_t epoch, double loss);
  // Nothing more will be sent.
  void HalfClose();
  // Half-closes, then reads to the end.
  grpc::Status Finish();
  // Breaks the stream off.
  void Cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::TrainingService::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::TrainRequest, v1::TrainResponse>> stream_;
  bool half_closed_ = false;
};

// An Upload stream.
class Upload {
 public:
  explicit Upload(const std::shared_ptr<grpc::Channel>& channel);
  ~Upload();

  // Gives the offset to go on at, or nothing if the stream ended instead.
  std::optional<int64_t> Start(const v1::UploadStart& start);
  bool Chunk(int64_t offset, const std::string& data);
  bool Send(const v1::UploadRequest& request) { return stream_->Write(request); }
  // Sends finish; gives the answer, or nothing if the stream ended instead.
  std::optional<v1::UploadFinished> FinishWith(const std::string& content);
  std::optional<v1::UploadResponse> Read();
  grpc::Status Status();
  void Cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::WeightService::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::UploadRequest, v1::UploadResponse>> stream_;
};

std::string DigestOf(const std::string& content);
v1::UploadStart ForSave(const std::string& save);

class WireTest : public testing::Test {
 protected:
  WireTest();

  std::shared_ptr<grpc::Channel> Channel() const;
  // Uploads `content` to a save in one go; the status of the call.
  grpc::Status UploadAll(const std::string& save, const std::string& content);
  // Sends one message, as bytes, to a method of any service, unary or streaming; gives the first
  // answer. For services whose messages are short enough to be written by hand.
  std::string Call(const std::string& method, const std::string& message) const;
  std::vector<v1::Checkpoint> List();
  // Content of a checkpoint's only part.
  std::string Download(const std::string& checkpoint, grpc::Status* status = nullptr);
  std::string RunFolder() const { return daemon_.data_dir() + "/runs/r"; }

  integration::ScratchFolder folder_;
  integration::DaemonProcess daemon_{folder_};
  std::unique_ptr<v1::CatalogService::Stub> catalog_;
};

}  // namespace ckpt::wire
