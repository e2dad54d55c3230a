#include "tests/bench/event_stream.h"

#include <array>

#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

constexpr std::array kMetrics = {"loss", "accuracy", "lr", "grad_norm"};
constexpr int64_t kStepNanos = 50'000'000;

// Each kind of operation is under way at most once, so the kind is the tag.
enum Operation : intptr_t { kStart = 1, kRead, kWrite, kFinish };

void* Tag(Operation operation) { return reinterpret_cast<void*>(operation); }

}  // namespace

EventStream::EventStream(const std::shared_ptr<grpc::Channel>& channel)
    : stub_(v1::TrainingService::NewStub(channel)),
      stream_(stub_->AsyncTrain(&context_, &queue_, Tag(kStart))) {
  while (!started_) Await();
}

EventStream::~EventStream() {
  context_.TryCancel();
  queue_.Shutdown();
  void* operation = nullptr;
  bool ok = false;
  while (queue_.Next(&operation, &ok)) {
  }
}

void EventStream::Hello(const std::string& run) {
  v1::Hello& hello = *request_.mutable_hello();
  hello.set_run("runs/" + run);
  v1::CheckpointPolicy& policy = *hello.add_policies();
  policy.set_name("never");
  policy.set_filepath("never.bin");
  policy.set_monitor("loss");
  policy.set_save_best_only(true);
  policy.set_initial_value_threshold(-1e300);
  Send();
  while (!welcomed_) Await();
}

void EventStream::SendBatchEnds(int64_t count) {
  request_.mutable_events()->Clear();
  for (int64_t i = 0; i < count; ++i) AddEvent(v1::Event::KIND_BATCH_END).set_batch(batch_++);
  Send();
}

void EventStream::SendEpochEnd() {
  request_.mutable_events()->Clear();
  AddEvent(v1::Event::KIND_EPOCH_END).set_wants_decision(true);
  batch_ = 0;
  ++epoch_;
  Send();
}

int EventStream::metrics() { return static_cast<int>(kMetrics.size()); }

void EventStream::HalfClose() {
  FinishWrite();
  writing_ = true;
  stream_->WritesDone(Tag(kWrite));
}

void EventStream::AwaitDurable() {
  while (durable_seq_ < seq_) Await();
}

void EventStream::AwaitDecision() {
  while (decisions_ == 0) Await();
  --decisions_;
}

v1::Event& EventStream::AddEvent(v1::Event::Kind kind) {
  v1::EventBatch& batch = *request_.mutable_events();
  if (!named_) {
    for (const char* name : kMetrics) {
      v1::MetricName& metric = *batch.add_metrics();
      metric.set_id(static_cast<uint32_t>(batch.metrics_size()));
      metric.set_name(name);
    }
    named_ = true;
  }
  v1::Event& event = *batch.add_events();
  event.set_seq(++seq_);
  event.set_kind(kind);
  event.set_epoch(epoch_);
  // Steps that are not quite even, and what trainers report: noisy values of single precision.
  time_ += kStepNanos + static_cast<int64_t>(noise_() % 1'000'000);
  event.set_time_unix_nanos(time_);
  const float share = static_cast<float>(noise_()) / static_cast<float>(noise_.max());
  const std::array values = {1.0F + share, share, 1e-3F, 10.0F * share};
  for (uint32_t i = 0; i < kMetrics.size(); ++i) {
    event.add_metric_ids(i + 1);
    event.add_values(values[i]);
  }
  return event;
}

void EventStream::Send() {
  FinishWrite();
  writing_ = true;
  stream_->Write(request_, Tag(kWrite));
}

void EventStream::FinishWrite() {
  while (writing_) Await();
}

void EventStream::Await() {
  void* operation = nullptr;
  bool ok = false;
  queue_.Next(&operation, &ok);
  if (operation == Tag(kWrite)) {
    // A write that failed is followed by a read that fails and tells why.
    if (ok) writing_ = false;
    return;
  }
  if (!ok) FailWithStatus();
  if (operation == Tag(kStart)) {
    started_ = true;
  } else {
    Take();
  }
  stream_->Read(&response_, Tag(kRead));
}

void EventStream::Take() {
  if (response_.has_welcome()) welcomed_ = true;
  if (response_.has_decision()) ++decisions_;
  if (response_.has_progress()) durable_seq_ = response_.progress().durable_seq();
}

void EventStream::FailWithStatus() {
  grpc::Status status;
  stream_->Finish(&status, Tag(kFinish));
  void* operation = nullptr;
  bool ok = false;
  while (operation != Tag(kFinish)) queue_.Next(&operation, &ok);
  Fail("the server ended the stream: " + status.error_message());
}

}  // namespace ckpt::bench
