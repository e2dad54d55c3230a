// One call that does long work in small pieces and sends a message after each.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "server/rpc/grpc_status.h"
#include "server/server_context.h"
#include "storage/base/errors.h"

namespace ckpt::server {

// Reactions only post to the stream's strand of disk threads. The next piece is begun when the
// message about the last has been taken, so that whoever does not read stops the work, too. The
// work ends with the call.
template <typename Response>
class JobStream final : public grpc::ServerWriteReactor<Response>,
                        public std::enable_shared_from_this<JobStream<Response>> {
 public:
  // Does one piece; the last one sets `done`.
  using Step = absl::AnyInvocable<absl::Status(Response*)>;
  // Begins the work, on the strand.
  using Begin = absl::AnyInvocable<absl::StatusOr<Step>()>;
  // How long to wait after a piece.
  using Wait = absl::AnyInvocable<std::chrono::milliseconds(const Response&)>;

  static JobStream* Start(const ServerContext& context, Begin begin, Wait wait) {
    auto stream = std::make_shared<JobStream>(context, std::move(wait));
    stream->self_ = stream;
    stream->Post([raw = stream.get(), begin = std::move(begin)]() mutable {
      absl::StatusOr<Step> step = begin();
      if (!step.ok()) return raw->End(ToGrpcStatus(step.status()));
      raw->step_ = *std::move(step);
      raw->DoPiece();
    });
    return stream.get();
  }
  JobStream(const ServerContext& context, Wait wait)
      : context_(context), strand_(context.executors.NewDiskStrand()), wait_(std::move(wait)) {}

  void OnWriteDone(bool ok) override {
    if (!ok) cancelled_ = true;
    Post([this] {
      if (response_.done()) return End(grpc::Status::OK);
      context_.executors.PostAfter(wait_(response_), strand_,
                                   [self = this->shared_from_this()] { self->DoPiece(); });
    });
  }
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override {
    // The work may hold what must be let go on a disk thread.
    strand_.Post([self = std::move(self_)] {});
  }

 private:
  template <typename Fn>
  void Post(Fn fn) {
    strand_.Post([self = this->shared_from_this(), fn = std::move(fn)]() mutable { fn(); });
  }

  void DoPiece() {
    if (cancelled_) return End(grpc::Status::CANCELLED);
    if (context_.runs.draining()) return End(ToGrpcStatus(Draining()));
    response_.Clear();
    const absl::Status status = step_(&response_);
    if (!status.ok()) return End(ToGrpcStatus(status));
    this->StartWrite(&response_);
  }

  // What the work held is let go before the caller hears of its end, and may call again.
  void End(const grpc::Status& status) {
    step_ = nullptr;
    this->Finish(status);
  }

  const ServerContext& context_;
  SerialExecutor strand_;
  std::shared_ptr<JobStream> self_;  // gRPC's hold; let go in OnDone
  std::atomic<bool> cancelled_ = false;

  // Used on the strand only.
  Wait wait_;
  Step step_;
  Response response_;
};

}  // namespace ckpt::server
