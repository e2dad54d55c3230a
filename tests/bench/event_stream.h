// A trainer's raw stream: made-up events in, answers out.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_stream.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>

#include "ckpt/v1/training_service.grpc.pb.h"

namespace ckpt::bench {

// One thread does all of it, as that of a trainer's library does, and makes the next message while
// the last one is being sent: what a measurement has of the processor is for the server. Not
// thread-safe. Ends the program when the server ends the stream.
class EventStream {
 public:
  explicit EventStream(const std::shared_ptr<grpc::Channel>& channel);
  ~EventStream();

  // Opens `run` with a policy that saves only what is better than anything.
  void Hello(const std::string& run);
  // Sends the next `count` batch ends in one message.
  void SendBatchEnds(int64_t count);
  // Sends one epoch end, which is decided on.
  void SendEpochEnd();
  void HalfClose();
  // Returns once every event that has been sent is durable.
  void AwaitDurable();
  // Returns with the next decision that comes.
  void AwaitDecision();
  // How many metrics an event has.
  static int metrics();

 private:
  v1::Event& AddEvent(v1::Event::Kind kind);
  void Send();
  void FinishWrite();
  // Waits for one of the operations that are under way.
  void Await();
  void Take();  // of response_
  [[noreturn]] void FailWithStatus();

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<v1::TrainingService::Stub> stub_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::TrainRequest, v1::TrainResponse>> stream_;
  v1::TrainRequest request_;    // used again and again
  v1::TrainResponse response_;  // of the read that is under way
  bool started_ = false;
  bool writing_ = false;
  bool welcomed_ = false;
  int64_t decisions_ = 0;     // that have come and were not waited for
  uint64_t durable_seq_ = 0;  // the newest told
  uint64_t seq_ = 0;
  std::minstd_rand noise_;
  int64_t time_ = 1'800'000'000'000'000'000;
  int64_t batch_ = 0;
  int64_t epoch_ = 0;
  bool named_ = false;  // the metrics have been given their ids
};

}  // namespace ckpt::bench
