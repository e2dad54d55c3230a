// One call of TrainingService.Train.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_stream.h>

#include <atomic>
#include <memory>

#include "ckpt/v1/training_service.grpc.pb.h"

namespace ckpt::client {

// Drives the call on the thread that runs Run. A TrainStream is used for one call.
class TrainStream {
 public:
  // What happens, told on the thread of Run.
  class Handler {
   public:
    virtual ~Handler() = default;
    // The stream takes its first Write.
    virtual void OnOpen() = 0;
    virtual void OnResponse(v1::TrainResponse response) = 0;
    // The last Write has been taken by the transport: the next may follow.
    virtual void OnWritten() = 0;
    // Nothing more comes from the daemon. No Write may begin once this has returned.
    virtual void OnClosing() = 0;
  };

  TrainStream(v1::TrainingService::Stub& stub, Handler& handler);

  // Starts the call and returns when it has ended, with how it ended.
  grpc::Status Run();

  // From any thread, between OnOpen and OnClosing, one at a time (see OnWritten). `request` may be
  // reused at once.
  void Write(const v1::TrainRequest& request);
  // Half-closes, as the last Write.
  void WritesDone();
  // From any thread, at any time: the call ends soon.
  void Cancel() { context_.TryCancel(); }

 private:
  void HandleOperation(void* operation, bool ok);
  void Begin() { pending_.fetch_add(1, std::memory_order_relaxed); }

  v1::TrainingService::Stub& stub_;
  Handler& handler_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::TrainRequest, v1::TrainResponse>> call_;
  v1::TrainResponse response_;
  grpc::Status status_;
  std::atomic<int> pending_ = 0;  // operations whose completion is still to come
};

}  // namespace ckpt::client
