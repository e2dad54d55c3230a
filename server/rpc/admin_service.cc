#include "server/rpc/admin_service.h"

#include <spdlog/spdlog.h>

#include <memory>
#include <utility>

#include "server/rpc/job_stream.h"
#include "server/rpc/unary.h"
#include "server/run/pace.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::server {
namespace {

constexpr int kMaxMibPerSecond = 1'000'000;

absl::StatusOr<storage::VerifyOptions> OptionsOf(const v1::VerifyRequest& request) {
  storage::VerifyOptions options{.after = request.after(), .repair = request.repair()};
  if (!request.run().empty()) {
    auto run = ParseRunName(request.run());
    if (!run.ok()) return run.status();
    options.run = *std::move(run);
  }
  if (request.mib_per_second() < 0 || request.mib_per_second() > kMaxMibPerSecond) {
    return FieldInvalid("mib_per_second", std::to_string(request.mib_per_second()),
                        "it must be 1 to 1000000, or 0 for the daemon's own rate");
  }
  return options;
}

// Whether a repair has left the checkpoint marked as damaged.
bool IsMarked(const v1::Damage& damage) {
  return !damage.repaired() &&
         (damage.kind() == v1::Damage::KIND_PART || damage.kind() == v1::Damage::KIND_MANIFEST);
}

// What is marked as damaged loses its rank.
void PassOver(RunRegistry& runs, const v1::VerifyResponse& response) {
  for (const v1::Damage& damage : response.damages()) {
    const auto ref = ParseCheckpointName(damage.checkpoint());
    if (!ref.ok() || !IsMarked(damage)) continue;
    const auto warn = [name = damage.checkpoint()](const absl::Status& status) {
      if (!status.ok()) spdlog::warn("{} keeps its rank: {}", name, MessageOf(status));
    };
    runs.Open(ref->run, /*create=*/false,
              [id = ref->id, warn](absl::StatusOr<std::shared_ptr<RunActor>> actor) {
                actor.ok() ? (*actor)->PassOver(id, warn) : warn(actor.status());
              });
  }
}

}  // namespace

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
    response->set_snapshots(context_.runs.SnapshotCount());
    response->set_checkpoints(stats->checkpoints);
    response->set_checkpoint_bytes(stats->checkpoint_bytes);
    response->set_open_saves(stats->open_saves);
    response->set_staged_bytes(stats->staged_bytes);
    response->set_free_bytes(stats->free_bytes);
    *response->mutable_recovery() = context_.store.recovery();
    return absl::OkStatus();
  });
}

grpc::ServerWriteReactor<v1::VerifyResponse>* AdminServiceImpl::Verify(
    grpc::CallbackServerContext* /*call*/, const v1::VerifyRequest* request) {
  using Stream = JobStream<v1::VerifyResponse>;
  const int mib =
      request->mib_per_second() > 0 ? request->mib_per_second() : context_.verify_mib_per_second;
  return Stream::Start(
      context_,
      [this, request = *request]() -> absl::StatusOr<Stream::Step> {
        const auto options = OptionsOf(request);
        if (!options.ok()) return options.status();
        if (verifying_.exchange(true)) return LimitExceeded("verifications at once", 1, 2);
        std::shared_ptr<void> turn(this, [this](void*) { verifying_ = false; });
        auto verification = context_.store.Verify(*options);
        if (!verification.ok()) return verification.status();
        return [this, repair = options->repair, turn = std::move(turn),
                verification = *std::move(verification)](v1::VerifyResponse* response) {
          absl::Status status = verification->Step(response);
          if (repair) PassOver(context_.runs, *response);
          return status;
        };
      },
      [pace = Pace(int64_t{mib} << 20)](const v1::VerifyResponse& response) {
        return pace.Wait(response.bytes());
      });
}

grpc::ServerWriteReactor<v1::BackupResponse>* AdminServiceImpl::Backup(
    grpc::CallbackServerContext* /*call*/, const v1::BackupRequest* request) {
  using Stream = JobStream<v1::BackupResponse>;
  return Stream::Start(
      context_,
      [this, path = request->path()]() -> absl::StatusOr<Stream::Step> {
        auto backup = context_.store.BackUp(path);
        if (!backup.ok()) return backup.status();
        return [backup = *std::move(backup)](v1::BackupResponse* response) {
          return backup->Step(response);
        };
      },
      [](const v1::BackupResponse&) { return std::chrono::milliseconds(0); });
}

}  // namespace ckpt::server
