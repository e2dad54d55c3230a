#include "wire.h"

#include <grpc/grpc.h>
#include <grpcpp/generic/generic_stub.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "storage/base/digest.h"

namespace ckpt::wire {
namespace {

// gRPC shuts down with the last channel, and then waits ten seconds for a message that was cut off
// on its way out. One reference keeps it.
[[maybe_unused]] const bool kGrpcStays = (grpc_init(), true);

std::optional<google::rpc::ErrorInfo> InfoOf(const grpc::Status& status) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return std::nullopt;
  for (const auto& any : details.details()) {
    google::rpc::ErrorInfo info;
    if (any.UnpackTo(&info)) return info;
  }
  return std::nullopt;
}

}  // namespace

std::string ReasonOf(const grpc::Status& status) {
  const auto info = InfoOf(status);
  return info ? info->reason() : "";
}

std::string MetadataOf(const grpc::Status& status, const std::string& key) {
  const auto info = InfoOf(status);
  return info && info->metadata().contains(key) ? info->metadata().at(key) : "";
}

v1::CheckpointPolicy BestPolicy(const std::string& filepath) {
  v1::CheckpointPolicy policy;
  policy.set_name("best");
  policy.set_filepath(filepath);
  policy.set_monitor("loss");
  policy.set_save_best_only(true);
  return policy;
}

v1::Event EpochEnd(uint64_t seq, int64_t epoch, double loss) {
  v1::Event event;
  event.set_seq(seq);
  event.set_kind(v1::Event::KIND_EPOCH_END);
  event.set_epoch(epoch);
  event.add_metric_ids(1);
  event.add_values(loss);
  event.set_wants_decision(true);
  return event;
}

v1::TrainRequest Events(std::vector<v1::Event> events, const std::string& metric) {
  v1::TrainRequest request;
  v1::MetricName* name = request.mutable_events()->add_metrics();
  name->set_id(1);
  name->set_name(metric);
  for (v1::Event& event : events) *request.mutable_events()->add_events() = std::move(event);
  return request;
}

// ---- Trainer.

Trainer::Trainer(const std::shared_ptr<grpc::Channel>& channel)
    : stub_(v1::TrainingService::NewStub(channel)), stream_(stub_->Train(&context_)) {}

Trainer::~Trainer() { context_.TryCancel(); }

std::optional<v1::Welcome> Trainer::Hello(v1::Hello hello) {
  if (hello.run().empty()) hello.set_run("runs/r");
  v1::TrainRequest request;
  *request.mutable_hello() = std::move(hello);
  if (!Send(request)) return std::nullopt;
  auto response = Read();
  if (!response || !response->has_welcome()) return std::nullopt;
  return response->welcome();
}

std::optional<v1::TrainResponse> Trainer::Read() {
  v1::TrainResponse response;
  if (!stream_->Read(&response)) return std::nullopt;
  return response;
}

std::optional<v1::Decision> Trainer::NextDecision() {
  while (auto response = Read()) {
    if (response->has_decision()) return response->decision();
  }
  return std::nullopt;
}

std::optional<v1::SaveOutcome> Trainer::NextOutcome() {
  while (auto response = Read()) {
    if (response->has_outcome()) return response->outcome();
  }
  return std::nullopt;
}

bool Trainer::WaitDurable(uint64_t seq) {
  while (auto response = Read()) {
    if (response->has_progress() && response->progress().durable_seq() >= seq) return true;
  }
  return false;
}

std::optional<v1::Decision> Trainer::Epoch(uint64_t seq, int64_t epoch, double loss) {
  if (!Send(Events({EpochEnd(seq, epoch, loss)}))) return std::nullopt;
  return NextDecision();
}

void Trainer::HalfClose() {
  if (!std::exchange(half_closed_, true)) stream_->WritesDone();
}

grpc::Status Trainer::Finish() {
  HalfClose();
  while (Read()) {
  }
  return stream_->Finish();
}

// ---- Upload.

Upload::Upload(const std::shared_ptr<grpc::Channel>& channel)
    : stub_(v1::WeightService::NewStub(channel)), stream_(stub_->Upload(&context_)) {}

Upload::~Upload() { context_.TryCancel(); }

std::optional<int64_t> Upload::Start(const v1::UploadStart& start) {
  v1::UploadRequest request;
  *request.mutable_start() = start;
  if (!Send(request)) return std::nullopt;
  const auto response = Read();
  if (!response || !response->has_started()) return std::nullopt;
  return response->started().offset();
}

bool Upload::Chunk(int64_t offset, const std::string& data) {
  v1::UploadRequest request;
  request.mutable_chunk()->set_offset(offset);
  request.mutable_chunk()->set_crc32c(Crc32c(data));
  request.mutable_chunk()->set_data(data);
  return Send(request);
}

std::optional<v1::UploadFinished> Upload::FinishWith(const std::string& content) {
  v1::UploadRequest request;
  request.mutable_finish()->set_size(static_cast<int64_t>(content.size()));
  request.mutable_finish()->set_xxh3_128(DigestOf(content));
  if (!Send(request)) return std::nullopt;
  while (auto response = Read()) {
    if (response->has_finished()) return response->finished();
  }
  return std::nullopt;
}

std::optional<v1::UploadResponse> Upload::Read() {
  v1::UploadResponse response;
  if (!stream_->Read(&response)) return std::nullopt;
  return response;
}

grpc::Status Upload::Status() {
  stream_->WritesDone();
  while (Read()) {
  }
  return stream_->Finish();
}

std::string DigestOf(const std::string& content) {
  StreamDigest digest;
  digest.Update(content);
  return digest.Whole();
}

v1::UploadStart ForSave(const std::string& save) {
  v1::UploadStart start;
  start.set_save(save);
  return start;
}

// ---- WireTest.

WireTest::WireTest() {
  EXPECT_TRUE(daemon_.Start()) << daemon_.log();
  catalog_ = v1::CatalogService::NewStub(Channel());
}

std::shared_ptr<grpc::Channel> WireTest::Channel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxSendMessageSize(-1);
  return grpc::CreateCustomChannel(daemon_.server(), grpc::InsecureChannelCredentials(), arguments);
}

grpc::Status WireTest::UploadAll(const std::string& save, const std::string& content) {
  Upload upload(Channel());
  if (const auto offset = upload.Start(ForSave(save))) {
    if (!content.empty()) upload.Chunk(*offset, content.substr(static_cast<size_t>(*offset)));
    upload.FinishWith(content);
  }
  return upload.Status();
}

std::string WireTest::Call(const std::string& method, const std::string& message) const {
  grpc::GenericStub stub(Channel());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(&context, method, &queue);
  const auto wait = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  if (!wait()) return "no call";
  const grpc::Slice slice(message);
  call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  if (!wait()) return "no write";
  call->WritesDone(nullptr);
  wait();
  grpc::ByteBuffer answer;
  call->Read(&answer, nullptr);
  const bool answered = wait();
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  if (!answered) return "status " + std::to_string(status.error_code());
  grpc::Slice single;
  EXPECT_TRUE(answer.DumpToSingleSlice(&single).ok());
  return {reinterpret_cast<const char*>(single.begin()), single.size()};
}

std::vector<v1::Checkpoint> WireTest::List() {
  grpc::ClientContext context;
  v1::ListCheckpointsRequest request;
  request.set_parent("runs/r");
  v1::ListCheckpointsResponse response;
  const grpc::Status status = catalog_->ListCheckpoints(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return {response.checkpoints().begin(), response.checkpoints().end()};
}

std::string WireTest::Download(const std::string& checkpoint, grpc::Status* status) {
  const auto stub = v1::WeightService::NewStub(Channel());
  grpc::ClientContext context;
  v1::DownloadRequest request;
  request.set_checkpoint(checkpoint);
  const auto stream = stub->Download(&context, request);
  std::string content;
  v1::DownloadResponse response;
  while (stream->Read(&response)) content += response.chunk().data();
  const grpc::Status ended = stream->Finish();
  if (status != nullptr) *status = ended;
  return content;
}

}  // namespace ckpt::wire
