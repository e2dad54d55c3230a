#include "server/rpc/training_service.h"

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "server/rpc/event_batches.h"
#include "server/rpc/grpc_status.h"
#include "server/rpc/hello.h"
#include "server/rpc/message_buffer.h"
#include "server/rpc/train_message.h"
#include "server/run/trainer_session.h"
#include "server/version.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::server {
namespace {

// Answers kept for a trainer that does not read them; then no more events are read from it.
constexpr size_t kMaxUnsent = 256;

// Memory of what waits until the events of `batch` are durable, about.
int64_t MemoryOf(const v1::EventBatch& batch) {
  constexpr size_t kBatchBytes = 2048;  // the run's progress, and whom to tell
  constexpr size_t kEventBytes = 64;
  constexpr size_t kMetricBytes = sizeof(uint32_t) + sizeof(double);
  size_t bytes = kBatchBytes;
  for (const v1::MetricName& metric : batch.metrics()) {
    bytes += sizeof metric + metric.name().size();
  }
  for (const v1::Event& event : batch.events()) {
    const int metrics = event.metric_ids_size() + event.integer_metric_ids_size();
    bytes +=
        kEventBytes + event.staged_upload().size() + static_cast<size_t>(metrics) * kMetricBytes;
  }
  return static_cast<int64_t>(bytes);
}

// Reactions and the run's actor meet here. The mutex guards the stream's state, and every operation
// on the stream is started under it, so that none can follow Finish. The object lives until gRPC
// and the actor have both let go of it.
class TrainStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                          public TrainerSession,
                          public std::enable_shared_from_this<TrainStream> {
 public:
  static TrainStream* Start(const ServerContext& context, std::atomic<int>& streams) {
    auto stream = std::make_shared<TrainStream>(context, streams);
    stream->self_ = stream;
    if (streams.fetch_add(1) >= context.max_streams) {
      stream->Close(LimitExceeded("trainer streams", static_cast<uint64_t>(context.max_streams),
                                  static_cast<uint64_t>(context.max_streams) + 1));
    } else {
      stream->Ready();
    }
    return stream.get();
  }

  TrainStream(const ServerContext& context, std::atomic<int>& streams)
      : context_(context), streams_(streams) {}

  // ---- TrainerSession.

  void Send(v1::TrainResponse response) override {
    const std::lock_guard lock(mutex_);
    if (close_status_.has_value()) return;
    // Events that came before the Welcome would have no run to go to.
    const bool welcome = response.has_welcome();
    if (welcome) Complete(*response.mutable_welcome());
    if (!Replaces(response)) unsent_.push_back(std::move(response));
    WriteNext();
    if (welcome) ReadNext();
  }

  void Close(absl::Status status) override {
    const std::lock_guard lock(mutex_);
    if (close_status_.has_value()) return;
    close_status_ = std::move(status);
    FinishIfSent();
  }

  // ---- Reactions.

  void OnReadDone(bool ok) override {
    if (!ok) return OnPeerGone();
    v1::TrainRequest request;
    std::shared_ptr<v1::EventBatch> events = batches_->Take(received_.Length());
    absl::Status parsed = ParseTrainRequest(received_, request, *events);
    received_.Clear();
    if (!parsed.ok()) return Close(std::move(parsed));
    switch (request.message_case()) {
      case v1::TrainRequest::kHello:
        return OnHello(std::move(*request.mutable_hello()));
      case v1::TrainRequest::kEvents:
        if (run_ == nullptr) return Close(ProtocolViolation("the first message must be hello"));
        return TakeEvents(std::move(events));
      case v1::TrainRequest::kAbandon:
        if (run_ == nullptr) return Close(ProtocolViolation("the first message must be hello"));
        run_->Abandon(shared_from_this(), std::move(*request.mutable_abandon()));
        return Ready();
      default:
        return Close(ProtocolViolation("the message holds none of hello, events, abandon"));
    }
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    unsent_.pop_front();
    if (!ok) unsent_.clear();
    WriteNext();
    FinishIfSent();
    if (read_wanted_ && unsent_.size() < kMaxUnsent) ReadNext();
  }

  void OnDone() override {
    streams_.fetch_sub(1);
    std::shared_ptr<RunActor> run;
    {
      const std::lock_guard lock(mutex_);
      run = std::move(run_);
    }
    if (run != nullptr) run->Detach(shared_from_this());
    self_.reset();
  }

 private:
  // What the run knows nothing of.
  void Complete(v1::Welcome& welcome) const {
    welcome.set_server_version(kVersion);
    welcome.set_local_socket(context_.local_socket);
    welcome.set_local_token(context_.local_token);
  }

  // The next message may come.
  void Ready() {
    const std::lock_guard lock(mutex_);
    ReadNext();
  }

  // Requires mutex_.
  void ReadNext() {
    if (finished_) return;
    read_wanted_ = unsent_.size() >= kMaxUnsent;
    if (read_wanted_) return;
    StartRead(&received_);
  }

  // Whether `response` went into the newest that waits: of progress only the last counts. Requires
  // mutex_.
  bool Replaces(v1::TrainResponse& response) {
    const bool waits = unsent_.size() > (writing_ ? 1 : 0);
    if (!waits || !response.has_progress() || !unsent_.back().has_progress()) return false;
    unsent_.back() = std::move(response);
    return true;
  }

  // Requires mutex_.
  void WriteNext() {
    if (writing_ || finished_ || unsent_.empty()) return;
    sending_ = ToBuffer(unsent_.front());
    writing_ = true;
    StartWrite(&sending_);
  }

  // Requires mutex_.
  void FinishIfSent() {
    if (finished_ || writing_ || !unsent_.empty() || !close_status_.has_value()) return;
    finished_ = true;
    Finish(ToGrpcStatus(*close_status_));
  }

  // Half-close or a broken stream: either way nothing more will come.
  void OnPeerGone() {
    if (run_ == nullptr) return Close(ProtocolViolation("the first message must be hello"));
    run_->Detach(shared_from_this());
  }

  void TakeEvents(std::shared_ptr<v1::EventBatch> events) {
    const int64_t bytes = MemoryOf(*events);
    run_->TakeEvents(shared_from_this(), std::move(events), bytes,
                     [self = shared_from_this()] { self->Ready(); });
  }

  void OnHello(v1::Hello hello) {
    if (hello_seen_) return Close(ProtocolViolation("hello was sent already"));
    hello_seen_ = true;
    auto run = CheckHello(hello);
    if (!run.ok()) return Close(run.status());
    if (context_.local_socket.empty()) hello.set_holds_snapshots(false);
    auto policies = context_.policies.For(*run, hello);
    if (!policies.ok()) return Close(policies.status());
    context_.runs.Open(
        *run, /*create=*/true,
        [self = shared_from_this(), hello = std::move(hello),
         policies = *std::move(policies)](absl::StatusOr<std::shared_ptr<RunActor>> actor) mutable {
          if (!actor.ok()) return self->Close(actor.status());
          self->Join(*std::move(actor), std::move(hello), std::move(policies));
        });
  }

  void Join(std::shared_ptr<RunActor> run, v1::Hello hello,
            std::vector<v1::CheckpointPolicy> policies) {
    {
      const std::lock_guard lock(mutex_);
      if (finished_) return;
      run_ = run;
    }
    run->Attach(std::move(hello), std::move(policies), context_.limits, shared_from_this());
  }

  const ServerContext& context_;
  std::atomic<int>& streams_;
  std::shared_ptr<TrainStream> self_;  // gRPC's hold; let go in OnDone
  grpc::ByteBuffer received_;          // by the read that is under way, and its reaction
  const std::shared_ptr<EventBatches> batches_ = std::make_shared<EventBatches>();
  bool hello_seen_ = false;        // reactions only
  std::shared_ptr<RunActor> run_;  // set once, before the read that follows Hello

  std::mutex mutex_;
  std::deque<v1::TrainResponse> unsent_;  // guarded by mutex_; front is being written
  grpc::ByteBuffer sending_;              // guarded by mutex_; what is being written
  bool writing_ = false;                  // guarded by mutex_
  bool read_wanted_ = false;              // guarded by mutex_; a read waits for unsent_ to shrink
  bool finished_ = false;                 // guarded by mutex_
  std::optional<absl::Status> close_status_;  // guarded by mutex_
};

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* TrainingServiceImpl::Train(
    grpc::CallbackServerContext* /*call*/) {
  return TrainStream::Start(context_, streams_);
}

}  // namespace ckpt::server
