#include "server/daemon.h"

#include <spdlog/spdlog.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <utility>

#include "google/protobuf/util/time_util.h"
#include "server/http/http_server.h"
#include "server/http/metrics.h"
#include "server/local/local_server.h"
#include "server/rpc/rpc_server.h"
#include "server/run/byte_budget.h"
#include "server/run/configured_policies.h"
#include "server/run/executors.h"
#include "server/run/index_writer.h"
#include "server/run/limits.h"
#include "server/run/run_registry.h"
#include "server/scrubber.h"
#include "server/version.h"
#include "storage/base/clock.h"
#include "storage/checkpoint_store.h"

namespace ckpt::server {
namespace {

using google::protobuf::util::TimeUtil;

// Whether the daemon takes saves, and why not. Thread-safe.
class Health {
 public:
  void Fail(std::string reason) {
    const std::lock_guard lock(mutex_);
    if (reason_.empty()) reason_ = std::move(reason);
  }
  std::string Reason() const {
    const std::lock_guard lock(mutex_);
    return reason_;
  }

 private:
  mutable std::mutex mutex_;
  std::string reason_;  // guarded by mutex_
};

v1::Limits LimitsOf(const v1::LimitsConfig& config) {
  v1::Limits limits;
  limits.set_max_chunk_bytes(int64_t{config.max_chunk_kib()} << 10);
  limits.set_max_events_per_batch(kMaxEventsPerBatch);
  limits.set_max_metrics_per_event(kMaxMetricsPerEvent);
  limits.set_max_metric_name_bytes(kMaxMetricNameBytes);
  limits.set_max_part_bytes(int64_t{config.max_part_gib()} << 30);
  return limits;
}

void Sample(const storage::CheckpointStore& store, Metrics& metrics) {
  const auto stats = store.Stats();
  if (!stats.ok()) return;
  metrics.runs.Set(static_cast<double>(stats->runs));
  metrics.checkpoints.Set(static_cast<double>(stats->checkpoints));
  metrics.checkpoint_bytes.Set(static_cast<double>(stats->checkpoint_bytes));
  metrics.open_saves.Set(static_cast<double>(stats->open_saves));
  metrics.staged_bytes.Set(static_cast<double>(stats->staged_bytes));
  metrics.free_bytes.Set(static_cast<double>(stats->free_bytes));
}

class DaemonImpl final : public Daemon {
 public:
  DaemonImpl(const v1::DaemonConfig& config, ConfiguredPolicies policies)
      : config_(config), policies_(std::move(policies)) {}

  ~DaemonImpl() override { StopTasks(); }

  absl::Status Start();
  void Shutdown() override;

  const std::vector<std::string>& addresses() const override { return rpc_->addresses(); }
  std::string http_address() const override { return http_ ? http_->address() : ""; }
  const std::string& data_dir() const override { return store_->data_dir(); }

 private:
  absl::Status OpenStore();
  absl::Status StartLocal();
  absl::Status StartHttp();
  void StopTasks();
  void IndexFailed(const std::string& what);
  void Describe(v1::Status& status) const;

  const v1::DaemonConfig config_;
  const ConfiguredPolicies policies_;
  const SystemClock clock_;
  const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
  const std::chrono::steady_clock::time_point started_steady_ = std::chrono::steady_clock::now();

  // In the order they need each other; destroyed in reverse.
  Health health_;
  Metrics metrics_;
  std::unique_ptr<storage::CheckpointStore> store_;
  std::unique_ptr<Executors> executors_;
  ByteBudget event_budget_{kMaxPendingEventBytes};
  std::unique_ptr<IndexWriter> index_;
  std::unique_ptr<RunRegistry> runs_;
  std::unique_ptr<ByteBudget> upload_budget_;
  std::unique_ptr<ServerContext> context_;
  std::unique_ptr<LocalServer> local_;  // null when off
  std::unique_ptr<RpcServer> rpc_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<Scrubber> scrubber_;
};

absl::Status DaemonImpl::OpenStore() {
  auto store = storage::CheckpointStore::Open({
      .data_dir = config_.data_dir(),
      .index_cache_bytes = int64_t{config_.limits().index_cache_mib()} << 20,
      .free_space_reserve_bytes = int64_t{config_.limits().free_space_reserve_mib()} << 20,
      .stage_timeout_seconds = int64_t{config_.limits().save_timeout_hours()} * 3600,
      .on_index_error = [this](const std::string& what) { IndexFailed(what); },
  });
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  const v1::RecoveryReport& recovery = store_->recovery();
  spdlog::info(
      "data folder {}: {} commits completed, {} saves open, {} names put back, {} deletions "
      "finished, "
      "{} orphans removed, in {} ms",
      store_->data_dir(), recovery.completed_saves(), recovery.open_saves(),
      recovery.projected_names(), recovery.finished_evictions(), recovery.removed_orphans(),
      TimeUtil::DurationToMilliseconds(recovery.took()));
  metrics_.SetSampler([this](Metrics& metrics) { Sample(*store_, metrics); });
  return absl::OkStatus();
}

absl::Status DaemonImpl::Start() {
  if (absl::Status status = OpenStore(); !status.ok()) return status;
  executors_ = std::make_unique<Executors>(config_.limits().io_threads());
  index_ = std::make_unique<IndexWriter>(*store_, *executors_, metrics_);
  runs_ = std::make_unique<RunRegistry>(
      RunServices{*store_, *executors_, *index_, event_budget_, metrics_, clock_,
                  std::chrono::hours(config_.limits().save_timeout_hours())});
  upload_budget_ =
      std::make_unique<ByteBudget>(int64_t{config_.limits().upload_memory_mib()} << 20);
  context_ = std::make_unique<ServerContext>(ServerContext{
      *store_, *executors_, *runs_, *upload_budget_, metrics_, policies_,
      LimitsOf(config_.limits()), config_.limits().max_streams(),
      [this](v1::Status& status) { Describe(status); }, config_.scrub().mib_per_second(),
      std::chrono::seconds(config_.limits().upload_idle_seconds())});
  runs_->Recover(store_->unfinished_runs());
  if (absl::Status status = StartLocal(); !status.ok()) return status;
  auto rpc = RpcServer::Start({{config_.listen().begin(), config_.listen().end()},
                               config_.reflection(),
                               std::chrono::seconds(config_.limits().keepalive_seconds())},
                              *context_);
  if (!rpc.ok()) return rpc.status();
  rpc_ = *std::move(rpc);
  if (absl::Status status = StartHttp(); !status.ok()) return status;
  rpc_->SetServing(health_.Reason().empty());
  scrubber_ = std::make_unique<Scrubber>(*store_, *executors_, metrics_, clock_, config_.scrub());
  scrubber_->Start();
  return absl::OkStatus();
}

absl::Status DaemonImpl::StartLocal() {
  v1::LocalConfig config = config_.local();
  if (config.socket() == "off") return absl::OkStatus();
  if (config.socket().empty()) {
    config.set_socket(store_->data_dir() + "/local.sock");
    if (config.socket().size() >= sizeof sockaddr_un::sun_path) {
      spdlog::warn("no hand-over in shared memory: {} is too long for a socket; set local.socket",
                   config.socket());
      return absl::OkStatus();
    }
  }
  auto local = LocalServer::Start(config, *context_);
  if (!local.ok()) return local.status();
  local_ = *std::move(local);
  metrics_.SetSampler([this](Metrics& metrics) {
    Sample(*store_, metrics);
    metrics.slots.Set(static_cast<double>(local_->slot_memory().grants()));
    metrics.slot_memory.Set(static_cast<double>(local_->slot_memory().taken()));
  });
  context_->local_socket = config.socket();
  context_->local_token = local_->token();
  return absl::OkStatus();
}

absl::Status DaemonImpl::StartHttp() {
  if (config_.http() == "off") return absl::OkStatus();
  auto http = HttpServer::Start(
      config_.http(), {[this] { return health_.Reason(); }, [this] { return metrics_.Render(); }});
  if (!http.ok()) return http.status();
  http_ = *std::move(http);
  return absl::OkStatus();
}

void DaemonImpl::IndexFailed(const std::string& what) {
  spdlog::critical("the index takes no more writes: {}; restart ckptd when the disk is well", what);
  health_.Fail("the index takes no more writes: " + what);
  // The index may fail before there is a server, or while there is none any more.
  if (executors_ == nullptr) return;
  executors_->PostDisk([this] {
    if (rpc_ != nullptr) rpc_->SetServing(false);
  });
}

void DaemonImpl::Describe(v1::Status& status) const {
  status.set_version(kVersion);
  status.set_pid(getpid());
  *status.mutable_start_time() = TimeUtil::NanosecondsToTimestamp(
      std::chrono::duration_cast<std::chrono::nanoseconds>(started_.time_since_epoch()).count());
  *status.mutable_uptime() =
      TimeUtil::MillisecondsToDuration(std::chrono::duration_cast<std::chrono::milliseconds>(
                                           std::chrono::steady_clock::now() - started_steady_)
                                           .count());
  for (const std::string& address : rpc_->addresses()) status.add_listen(address);
  status.set_http(http_address());
  status.set_local_socket(context_->local_socket);
  if (local_ != nullptr) status.set_slot_bytes(local_->slot_memory().taken());
  status.set_direct_parts(static_cast<int64_t>(metrics_.direct_parts.Value()));
  status.set_paced_parts(static_cast<int64_t>(metrics_.paced_parts.Value()));
  status.set_not_serving_reason(health_.Reason());
  status.set_serving(status.not_serving_reason().empty());
}

void DaemonImpl::Shutdown() {
  health_.Fail("ckptd is shutting down");
  rpc_->SetServing(false);
  if (local_ != nullptr) local_->StopTaking();
  runs_->Drain();
  index_->Hurry();
  const auto deadline =
      std::chrono::system_clock::now() + std::chrono::seconds(config_.shutdown_grace_seconds());
  rpc_->Shutdown(deadline);
  if (local_ != nullptr) local_->FinishStoring(deadline);
  StopTasks();
}

// Nobody posts any more, and what was posted has run: everything may be taken down.
void DaemonImpl::StopTasks() {
  if (local_ != nullptr) local_->StopTaking();
  if (rpc_ != nullptr) rpc_->Shutdown(std::chrono::system_clock::now());
  if (index_ != nullptr) index_->Hurry();
  http_.reset();
  if (executors_ != nullptr) executors_->Stop();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const v1::DaemonConfig& config) {
  auto policies = ConfiguredPolicies::Create(config);
  if (!policies.ok()) return policies.status();
  auto daemon = std::make_unique<DaemonImpl>(config, *std::move(policies));
  if (absl::Status status = daemon->Start(); !status.ok()) return status;
  return daemon;
}

}  // namespace ckpt::server
