// A trainer's raw stream: made-up events in, answers out.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>

#include "ckpt/v1/training_service.grpc.pb.h"

namespace ckpt::bench {

// Not thread-safe, except that one thread may send while another waits. Ends the program when the
// server ends the stream.
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
  // Returns once every event that will have been sent, up to `seq`, is durable.
  void AwaitDurable(uint64_t seq);
  void AwaitDecision();
  uint64_t sent() const { return seq_; }
  // How many metrics an event has.
  static int metrics();

 private:
  void Send();
  v1::TrainResponse Receive();
  v1::Event& AddEvent(v1::Event::Kind kind);

  grpc::ClientContext context_;
  std::unique_ptr<v1::TrainingService::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::TrainRequest, v1::TrainResponse>> stream_;
  v1::TrainRequest request_;
  uint64_t seq_ = 0;
  std::minstd_rand noise_;
  int64_t time_ = 1'800'000'000'000'000'000;
  int64_t batch_ = 0;
  int64_t epoch_ = 0;
  bool named_ = false;  // the metrics have been given their ids
};

}  // namespace ckpt::bench
