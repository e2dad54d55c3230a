#include "tests/bench/event_stream.h"

#include <array>

#include "tests/bench/servers.h"

namespace ckpt::bench {
namespace {

constexpr std::array kMetrics = {"loss", "accuracy", "lr", "grad_norm"};
constexpr int64_t kStepNanos = 50'000'000;

}  // namespace

EventStream::EventStream(const std::shared_ptr<grpc::Channel>& channel)
    : stub_(v1::TrainingService::NewStub(channel)), stream_(stub_->Train(&context_)) {}

EventStream::~EventStream() { context_.TryCancel(); }

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
  if (!Receive().has_welcome()) Fail("the daemon did not welcome the stream");
}

void EventStream::SendBatchEnds(int64_t count) {
  for (int64_t i = 0; i < count; ++i) AddEvent(v1::Event::KIND_BATCH_END).set_batch(batch_++);
  Send();
}

void EventStream::SendEpochEnd() {
  AddEvent(v1::Event::KIND_EPOCH_END).set_wants_decision(true);
  batch_ = 0;
  ++epoch_;
  Send();
}

int EventStream::metrics() { return static_cast<int>(kMetrics.size()); }

void EventStream::HalfClose() { stream_->WritesDone(); }

void EventStream::AwaitDurable(uint64_t seq) {
  while (Receive().progress().durable_seq() < seq) {
  }
}

void EventStream::AwaitDecision() {
  while (!Receive().has_decision()) {
  }
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
  if (!stream_->Write(request_))
    Fail("the server ended the stream: " + stream_->Finish().error_message());
  request_.Clear();
}

v1::TrainResponse EventStream::Receive() {
  v1::TrainResponse response;
  if (!stream_->Read(&response))
    Fail("the server ended the stream: " + stream_->Finish().error_message());
  return response;
}

}  // namespace ckpt::bench
