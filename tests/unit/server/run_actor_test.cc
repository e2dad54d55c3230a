#include "server/run/run_actor.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "run_fixture.h"
#include "server/run/limits.h"
#include "storage/base/clock.h"
#include "storage/base/errors.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::server {
namespace {

// Keeps what it is told, in order. An end in good order is told as CANCELLED, since a StatusOr
// holds no OK.
class RecordingSession final : public TrainerSession {
 public:
  void Send(v1::TrainResponse response) override { Push(std::move(response)); }
  void Close(absl::Status status) override {
    Push(status.ok() ? absl::CancelledError("closed in good order") : std::move(status));
  }

  // The next message; the status instead once the session is closed. Waits.
  absl::StatusOr<v1::TrainResponse> Next() {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [this] { return !told_.empty(); });
    absl::StatusOr<v1::TrainResponse> next = std::move(told_.front());
    told_.pop_front();
    return next;
  }
  // The next decision; empty if the session is closed before.
  v1::Decision NextDecision() {
    for (auto next = Next(); next.ok(); next = Next()) {
      if (next->has_decision()) return next->decision();
    }
    return {};
  }

 private:
  void Push(absl::StatusOr<v1::TrainResponse> told) {
    const std::lock_guard lock(mutex_);
    told_.push_back(std::move(told));
    came_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<absl::StatusOr<v1::TrainResponse>> told_;
};

// A promise as a callback.
template <typename T>
std::pair<std::function<void(T)>, std::future<T>> Awaitable() {
  auto promise = std::make_shared<std::promise<T>>();
  std::future<T> future = promise->get_future();
  return {[promise](T value) { promise->set_value(std::move(value)); }, std::move(future)};
}

constexpr int kDiskThreads = 2;

class RunActorTest : public testing::Test {
 protected:
  RunActorTest() {
    auto store = storage::CheckpointStore::Open({.data_dir = folder_ / "data"});
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    index_ = std::make_unique<IndexWriter>(*store_, executors_, metrics_);
    storage::RunSnapshot snapshot;
    snapshot.run.set_name("runs/r");
    actor_ = std::make_shared<RunActor>(RunServices{*store_, executors_, *index_, event_budget_,
                                                    metrics_, clock_, std::chrono::hours(1)},
                                        std::move(snapshot), [](const RunActor&) {});
  }
  ~RunActorTest() override {
    actor_->Retire(absl::UnavailableError("the test is over"));
    actor_.reset();
    executors_.Stop();
  }

  std::shared_ptr<RecordingSession> Connect(v1::CheckpointPolicy policy = BestPolicy()) {
    auto session = std::make_shared<RecordingSession>();
    v1::Hello hello;
    hello.set_run("runs/r");
    actor_->Attach(hello, {std::move(policy)}, {}, session);
    const auto welcome = session->Next();
    EXPECT_TRUE(welcome.ok() && welcome->has_welcome()) << welcome.status();
    return session;
  }
  void Tell(const std::shared_ptr<RecordingSession>& session, v1::Event event,
            const std::string& metric = "loss") {
    v1::EventBatch batch = Batch({std::move(event)});
    batch.mutable_metrics(0)->set_name(metric);
    actor_->TakeEvents(session, std::move(batch), [] {});
  }
  // Writes the only part of a save.
  void WritePart(const std::string& id) {
    storage::PartTarget target;
    target.run = "r";
    target.save = id;
    target.part = "weights";
    auto writer = store_->OpenPart(target);
    ASSERT_TRUE(writer.ok()) << writer.status();
    const std::string_view bytes = "the weights";
    ASSERT_TRUE((*writer)->Append({&bytes, 1}).ok());
    ASSERT_TRUE((*writer)->Finish(static_cast<int64_t>(bytes.size()), "").ok());
  }
  void Commit(const std::string& id) {
    WritePart(id);
    auto [done, committed] = Awaitable<absl::StatusOr<v1::Checkpoint>>();
    actor_->FinishPart(id, done);
    EXPECT_TRUE(committed.get().ok());
  }

  const storage::TempDir folder_;
  const SystemClock clock_;
  Metrics metrics_;
  Executors executors_{kDiskThreads};
  std::unique_ptr<storage::CheckpointStore> store_;
  std::unique_ptr<IndexWriter> index_;
  ByteBudget event_budget_{kMaxPendingEventBytes};
  std::shared_ptr<RunActor> actor_;
};

TEST_F(RunActorTest, WhatCameBeforeTheEndOfTheStreamIsAnswered) {
  const auto session = Connect();
  Tell(session, EpochEnd(1, 0, 0.5));
  actor_->Detach(session);
  EXPECT_EQ(session->NextDecision().saves_size(), 1);
  EXPECT_TRUE(absl::IsCancelled(session->Next().status()));
}

TEST_F(RunActorTest, ASlowDiskHoldsTheTrainerBack) {
  const auto session = Connect();
  std::promise<void> disk;
  const std::shared_future<void> disk_works = disk.get_future().share();
  for (int i = 0; i < kDiskThreads; ++i) executors_.PostDisk([disk_works] { disk_works.wait(); });

  v1::EventBatch batch;
  v1::Event event = EpochEnd(0, 0, 0.5, 0);
  event.set_kind(v1::Event::KIND_BATCH_END);
  for (uint32_t id = 0; id < kMaxMetricsPerEvent; ++id) {
    v1::MetricName& name = *batch.add_metrics();
    name.set_id(id);
    name.set_name("metric " + std::to_string(id));
    if (id == 0) continue;  // is there already
    event.add_metric_ids(id);
    event.add_values(0.5);
  }
  while (static_cast<int64_t>(batch.ByteSizeLong()) < kMaxPendingEventBytes) {
    event.set_seq(event.seq() + 1);
    *batch.add_events() = event;
  }
  v1::EventBatch next;
  event.set_seq(event.seq() + 1);
  *next.add_events() = event;
  auto [read_next, first] = Awaitable<bool>();
  actor_->TakeEvents(session, std::move(batch), [read_next = read_next] { read_next(true); });
  EXPECT_TRUE(first.get());
  auto [read_on, ready] = Awaitable<bool>();
  actor_->TakeEvents(session, std::move(next), [read_on = read_on] { read_on(true); });
  auto [done, refused] = Awaitable<absl::Status>();
  actor_->DeleteRun(done);  // its answer comes after the events have been looked at
  EXPECT_EQ(ReasonOf(refused.get()), v1::ERROR_REASON_RUN_IN_USE);
  EXPECT_EQ(ready.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  disk.set_value();
  EXPECT_TRUE(ready.get());
}

TEST_F(RunActorTest, DeletionsAtOnceLeaveTheBestOfTheRest) {
  // A name in an order has quotes around it, and this one has some of its own.
  for (const std::string metric : {"loss", R"(a "quoted\" loss)"}) {
    v1::CheckpointPolicy policy = BestPolicy();
    policy.set_monitor(metric);
    v1::Hello hello;
    hello.set_run("runs/r");
    hello.set_start(v1::Hello::START_FRESH);
    const auto session = std::make_shared<RecordingSession>();
    actor_->Attach(hello, {policy}, {}, session);
    uint64_t seq = session->Next()->welcome().durable_seq();
    std::vector<std::string> ids;
    for (const double loss : {0.3, 0.2, 0.1}) {
      ++seq;
      Tell(session, EpochEnd(seq, static_cast<int64_t>(seq), loss), metric);
      const v1::Decision decision = session->NextDecision();
      ASSERT_EQ(decision.saves_size(), 1) << metric;
      ids.push_back(ParseCheckpointName(decision.saves(0).name())->id);
      Commit(ids.back());
    }
    auto [done2, deleted2] = Awaitable<absl::Status>();
    auto [done1, deleted1] = Awaitable<absl::Status>();
    actor_->DeleteCheckpoint(ids[2], done2);
    actor_->DeleteCheckpoint(ids[1], done1);
    EXPECT_TRUE(deleted2.get().ok());
    EXPECT_TRUE(deleted1.get().ok());
    ++seq;
    Tell(session, EpochEnd(seq, static_cast<int64_t>(seq), 0.35), metric);
    EXPECT_EQ(session->NextDecision().saves_size(), 0) << metric;
  }
}

TEST_F(RunActorTest, DeletingTheRunTellsUploadsThatAreBeingCommitted) {
  const auto session = Connect();
  Tell(session, EpochEnd(1, 0, 0.5));
  ASSERT_EQ(session->NextDecision().saves_size(), 1);
  WritePart("1");
  actor_->Detach(session);
  auto [told, committed] = Awaitable<absl::StatusOr<v1::Checkpoint>>();
  auto [done, deleted] = Awaitable<absl::Status>();
  actor_->FinishPart("1", told);
  actor_->DeleteRun(done);
  EXPECT_TRUE(deleted.get().ok());
  EXPECT_EQ(ReasonOf(committed.get().status()), v1::ERROR_REASON_RUN_NOT_FOUND);
}

}  // namespace
}  // namespace ckpt::server
