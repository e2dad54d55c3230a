// What server/local works with, over a store of its own with one run, `runs/r`.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "server/http/metrics.h"
#include "server/run/byte_budget.h"
#include "server/run/configured_policies.h"
#include "server/run/executors.h"
#include "server/run/index_writer.h"
#include "server/run/limits.h"
#include "server/run/run_registry.h"
#include "server/server_context.h"
#include "storage/base/clock.h"
#include "storage/checkpoint_store.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::server {

class ServerRig {
 public:
  explicit ServerRig(int io_threads = 2) : executors_(io_threads) {
    store_ = storage::CheckpointStore::Open({.data_dir = folder_ / "data"}).value();
    storage::RunUpdate update;
    update.run = "r";
    update.run_row.emplace().set_name("runs/r");
    store_->Apply({&update, 1}).value();
    index_ = std::make_unique<IndexWriter>(*store_, executors_, metrics_);
    runs_ = std::make_unique<RunRegistry>(RunServices{*store_, executors_, *index_, event_budget_,
                                                      metrics_, clock_, std::chrono::hours(1)});
    v1::Limits limits;
    limits.set_max_part_bytes(1 << 30);
    context_ = std::make_unique<ServerContext>(ServerContext{
        *store_, executors_, *runs_, upload_budget_, metrics_, policies_, limits, 10, nullptr, 16});
  }
  ~ServerRig() { executors_.Stop(); }
  ServerRig(const ServerRig&) = delete;
  ServerRig& operator=(const ServerRig&) = delete;

  const ServerContext& context() const { return *context_; }
  Executors& executors() { return executors_; }
  Metrics& metrics() { return metrics_; }
  storage::CheckpointStore& store() { return *store_; }
  std::string operator/(std::string_view name) const { return folder_ / name; }

 private:
  const storage::TempDir folder_;
  const SystemClock clock_;
  Metrics metrics_;
  Executors executors_;
  std::unique_ptr<storage::CheckpointStore> store_;
  std::unique_ptr<IndexWriter> index_;
  ByteBudget event_budget_{kMaxPendingEventBytes};
  ByteBudget upload_budget_{1 << 20};
  const ConfiguredPolicies policies_ = *ConfiguredPolicies::Create({});
  std::unique_ptr<RunRegistry> runs_;
  std::unique_ptr<ServerContext> context_;
};

}  // namespace ckpt::server
