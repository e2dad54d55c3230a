#include "server/rpc/save_stream.h"

#include <utility>

#include "server/rpc/grpc_status.h"
#include "storage/base/names.h"

namespace ckpt::server {

SaveStream* SaveStream::Start(RunRegistry& runs, const std::string& name) {
  auto stream = std::make_shared<SaveStream>();
  stream->self_ = stream;
  auto run = ParseRunName(name);
  if (run.ok()) {
    stream->Ask(runs, *std::move(run));
  } else {
    stream->Decided(run.status());
  }
  return stream.get();
}

void SaveStream::Ask(RunRegistry& runs, std::string run) {
  const auto decided = [weak = weak_from_this()](absl::StatusOr<v1::Checkpoint> save) {
    if (const auto stream = weak.lock()) stream->Decided(std::move(save));
  };
  const auto ended = [weak = weak_from_this()](absl::StatusOr<v1::Checkpoint> outcome) {
    if (const auto stream = weak.lock()) stream->Ended(std::move(outcome));
  };
  runs.Open(std::move(run), /*create=*/false,
            [decided, ended](absl::StatusOr<std::shared_ptr<RunActor>> actor) {
              if (!actor.ok()) return decided(actor.status());
              (*actor)->SaveNow(decided, ended);
            });
}

void SaveStream::Decided(absl::StatusOr<v1::Checkpoint> save) {
  const std::lock_guard lock(mutex_);
  decided_ = true;
  if (!save.ok()) return Close(save.status());
  Write(*std::move(save));
}

void SaveStream::Ended(absl::StatusOr<v1::Checkpoint> outcome) {
  const std::lock_guard lock(mutex_);
  outcome_ = std::move(outcome);
  if (decided_ && !writing_) TellEnd();
}

void SaveStream::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  writing_ = false;
  if (!ok) return Close(absl::CancelledError("the caller has gone away"));
  if (ended_) return Close(absl::OkStatus());
  if (outcome_.has_value()) TellEnd();
}

void SaveStream::OnCancel() {
  const std::lock_guard lock(mutex_);
  Close(absl::CancelledError("the caller has gone away"));
}

void SaveStream::TellEnd() {
  ended_ = true;
  absl::StatusOr<v1::Checkpoint> outcome = *std::exchange(outcome_, std::nullopt);
  if (!outcome.ok()) return Close(outcome.status());
  Write(*std::move(outcome));
}

void SaveStream::Write(v1::Checkpoint checkpoint) {
  if (closed_) return;
  checkpoint.clear_policy_states();
  *response_.mutable_checkpoint() = std::move(checkpoint);
  writing_ = true;
  StartWrite(&response_);
}

void SaveStream::Close(const absl::Status& status) {
  if (std::exchange(closed_, true)) return;
  Finish(ToGrpcStatus(status));
}

}  // namespace ckpt::server
