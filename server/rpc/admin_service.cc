#include "server/rpc/admin_service.h"

#include "server/rpc/unary.h"

namespace ckpt::server {

grpc::ServerUnaryReactor* AdminServiceImpl::GetStatus(grpc::CallbackServerContext* call,
                                                      const v1::GetStatusRequest* /*request*/,
                                                      v1::Status* response) {
  return OnDisk(context_.executors, call, [this, response]() -> absl::Status {
    const auto stats = context_.store.Stats();
    if (!stats.ok()) return stats.status();
    context_.describe(*response);
    response->set_data_dir(context_.store.data_dir());
    response->set_runs(stats->runs);
    response->set_connected_trainers(context_.runs.ConnectedCount());
    response->set_checkpoints(stats->checkpoints);
    response->set_checkpoint_bytes(stats->checkpoint_bytes);
    response->set_open_saves(stats->open_saves);
    response->set_staged_bytes(stats->staged_bytes);
    response->set_free_bytes(stats->free_bytes);
    *response->mutable_recovery() = context_.store.recovery();
    return absl::OkStatus();
  });
}

}  // namespace ckpt::server
