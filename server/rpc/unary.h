// Unary calls that block on the disk.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <utility>

#include "server/rpc/grpc_status.h"
#include "server/run/executors.h"

namespace ckpt::server {

// Runs `work`, which returns an absl::Status, on a disk thread and finishes the call with it.
template <typename Work>
grpc::ServerUnaryReactor* OnDisk(Executors& executors, grpc::CallbackServerContext* call,
                                 Work work) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  executors.PostDisk(
      [reactor, work = std::move(work)]() mutable { reactor->Finish(ToGrpcStatus(work())); });
  return reactor;
}

// `result`'s value into `*response`, its status as the return value.
template <typename Message, typename StatusOrMessage>
absl::Status Assign(StatusOrMessage result, Message* response) {
  if (!result.ok()) return result.status();
  *response = *std::move(result);
  return absl::OkStatus();
}

}  // namespace ckpt::server
