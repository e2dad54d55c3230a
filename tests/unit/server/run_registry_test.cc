#include "server/run/run_registry.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "server/run/limits.h"
#include "storage/base/clock.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::server {
namespace {

class CallingSession final : public TrainerSession {
 public:
  explicit CallingSession(std::function<void()> on_close) : on_close_(std::move(on_close)) {}
  void Send(v1::TrainResponse) override { welcomed.set_value(); }
  void Close(absl::Status) override { on_close_(); }

  std::promise<void> welcomed;

 private:
  const std::function<void()> on_close_;
};

TEST(RunRegistryTest, DrainReturnsWhenTheRunsHaveLetTheirTrainersGo) {
  const storage::TempDir folder;
  const SystemClock clock;
  Metrics metrics;
  Executors executors(2);
  auto store = storage::CheckpointStore::Open({.data_dir = folder / "data"});
  ASSERT_TRUE(store.ok()) << store.status();
  IndexWriter index(**store, executors, metrics);
  ByteBudget budget(kMaxPendingEventBytes);
  RunRegistry runs({**store, executors, index, budget, metrics, clock, std::chrono::hours(1)});

  std::promise<void> closing;
  std::promise<void> go_on;
  const auto session = std::make_shared<CallingSession>([&] {
    closing.set_value();
    go_on.get_future().wait();
  });
  std::shared_ptr<RunActor> actor;  // held by the trainer's stream
  runs.Open("r", /*create=*/true, [&](absl::StatusOr<std::shared_ptr<RunActor>> run) {
    actor = *run;
    v1::Hello hello;
    hello.set_run("runs/r");
    actor->Attach(hello, {}, {}, session);
  });
  session->welcomed.get_future().wait();

  std::atomic<bool> drained = false;
  std::thread drain([&] {
    runs.Drain();
    drained = true;
  });
  closing.get_future().wait();
  EXPECT_FALSE(drained) << "what a run holds may not be on its way to the disk yet";
  go_on.set_value();
  drain.join();
  runs.Open("r", true, [&](const absl::StatusOr<std::shared_ptr<RunActor>>& run) {
    EXPECT_EQ(run.status().code(), absl::StatusCode::kUnavailable);
  });
  actor.reset();
  executors.Stop();
}

}  // namespace
}  // namespace ckpt::server
