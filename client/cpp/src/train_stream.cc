#include "client/cpp/src/train_stream.h"

#include <cstdint>
#include <utility>

namespace ckpt::client {
namespace {

// Each kind of operation is outstanding at most once, so the kind is the tag.
enum Operation : intptr_t { kStart = 1, kRead, kWrite, kWritesDone, kFinish };

void* Tag(Operation operation) { return reinterpret_cast<void*>(operation); }

}  // namespace

TrainStream::TrainStream(v1::TrainingService::Stub& stub, Handler& handler)
    : stub_(stub), handler_(handler) {}

grpc::Status TrainStream::Run() {
  Begin();
  call_ = stub_.AsyncTrain(&context_, &queue_, Tag(kStart));
  void* operation = nullptr;
  bool ok = false;
  while (pending_.load(std::memory_order_relaxed) > 0 && queue_.Next(&operation, &ok)) {
    HandleOperation(operation, ok);
    pending_.fetch_sub(1, std::memory_order_relaxed);
  }
  queue_.Shutdown();
  while (queue_.Next(&operation, &ok)) {
  }
  return status_;
}

void TrainStream::HandleOperation(void* operation, bool ok) {
  switch (static_cast<Operation>(reinterpret_cast<intptr_t>(operation))) {
    case kStart:
    case kRead:
      if (!ok) {
        handler_.OnClosing();
        Begin();
        call_->Finish(&status_, Tag(kFinish));
        return;
      }
      if (operation == Tag(kStart)) {
        handler_.OnOpen();
      } else {
        handler_.OnResponse(std::move(response_));
      }
      Begin();
      call_->Read(&response_, Tag(kRead));
      return;
    case kWrite:
      // A write that failed is followed by a read that fails and tells why.
      if (ok) handler_.OnWritten();
      return;
    case kWritesDone:
    case kFinish:
      return;
  }
}

void TrainStream::Write(const v1::TrainRequest& request) {
  Begin();
  call_->Write(request, Tag(kWrite));
}

void TrainStream::WritesDone() {
  Begin();
  call_->WritesDone(Tag(kWritesDone));
}

}  // namespace ckpt::client
