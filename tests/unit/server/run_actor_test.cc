#include "server/run/run_actor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "run_fixture.h"
#include "server/run/limits.h"
#include "storage/base/clock.h"
#include "storage/base/errors.h"
#include "storage/blob/layout.h"
#include "storage/fs/posix_file_system.h"
#include "tests/unit/storage/testing/faulty_file_system.h"
#include "tests/unit/storage/testing/temp_dir.h"

namespace ckpt::server {
namespace {

// Keeps what it is told, in order. An end in good order is told as CANCELLED, since a StatusOr
// holds no OK.
class RecordingSession final : public TrainerSession {
 public:
  void Send(v1::TrainResponse response) override { Push(std::move(response)); }
  void Close(absl::Status status) override {
    if (on_close) on_close();
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

  std::function<void()> on_close;  // called before it is; to be set before it can be

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

// The system's, moved by some days.
class MovedClock final : public Clock {
 public:
  int64_t UnixNanos() const override {
    return SystemClock().UnixNanos() +
           std::chrono::nanoseconds(std::chrono::hours(24 * days)).count();
  }
  std::atomic<int> days = 0;
};

// A promise as a callback.
template <typename T>
std::pair<std::function<void(T)>, std::future<T>> Awaitable() {
  auto promise = std::make_shared<std::promise<T>>();
  std::future<T> future = promise->get_future();
  return {[promise](T value) { promise->set_value(std::move(value)); }, std::move(future)};
}

constexpr int kDiskThreads = 2;
constexpr int64_t kBatchBytes = 1000;

class RunActorTest : public testing::Test {
 protected:
  RunActorTest() {
    auto store = storage::CheckpointStore::Open(
        {.data_dir = folder_ / "data", .file_system = &file_system_, .clock = &clock_});
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    index_ = std::make_unique<IndexWriter>(*store_, executors_, metrics_);
    MakeActor();
  }
  ~RunActorTest() override {
    actor_->Retire(absl::UnavailableError("the test is over"), [] {});
    actor_.reset();
    index_->Hurry();
    executors_.Stop();
  }

  // Of a run that does not exist yet.
  void MakeActor() {
    storage::RunSnapshot snapshot;
    snapshot.run.set_name("runs/r");
    actor_ = std::make_shared<RunActor>(
        RunServices{*store_, executors_, *index_, event_budget_, metrics_, clock_, save_timeout_},
        std::move(snapshot), [](const RunActor&) {});
  }
  absl::StatusOr<v1::Checkpoint> OpenUpload(const std::string& id) {
    auto [done, opened] = Awaitable<absl::StatusOr<v1::Checkpoint>>();
    actor_->OpenUpload(id, done);
    return opened.get();
  }
  std::shared_ptr<RecordingSession> Connect(v1::CheckpointPolicy policy = BestPolicy()) {
    auto session = std::make_shared<RecordingSession>();
    v1::Hello hello;
    hello.set_run("runs/r");
    actor_->Attach(hello, {std::move(policy)}, {}, session);
    const auto first = session->Next();
    EXPECT_TRUE(first.ok() && first->has_welcome()) << first.status();
    return session;
  }
  void Tell(const std::shared_ptr<RecordingSession>& session, v1::Event event,
            const std::string& metric = "loss") {
    auto batch = std::make_shared<v1::EventBatch>(Batch({std::move(event)}));
    batch->mutable_metrics(0)->set_name(metric);
    actor_->TakeEvents(session, std::move(batch), kBatchBytes, [] {});
  }
  // Writes a part of a save.
  void WritePart(const std::string& id, const std::string& part = "weights", int part_count = 1) {
    storage::PartTarget target;
    target.run = "r";
    target.save = id;
    target.part = part;
    target.part_count = part_count;
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

  // Takes the bytes of checkpoints away, and has the store find out.
  void DestroyAndMark(const std::vector<std::string>& ids) {
    for (const std::string& id : ids) {
      std::filesystem::remove_all(folder_ / ("data/" + storage::BlobPath("r@" + id)));
    }
    std::filesystem::remove_all(folder_ / "data/runs/r");
    auto verification = store_->Verify({.run = "r", .after = "", .repair = true});
    ASSERT_TRUE(verification.ok()) << verification.status();
    v1::VerifyResponse response;
    while (!response.done()) ASSERT_TRUE((*verification)->Step(&response).ok());
    for (const std::string& id : ids) EXPECT_NE(store_->GetCheckpoint("r", id)->damage(), "");
  }

  const storage::TempDir folder_;
  storage::PosixFileSystem real_;
  storage::FaultyFileSystem file_system_{real_};
  MovedClock clock_;
  std::chrono::milliseconds save_timeout_ = std::chrono::hours(1);
  Metrics metrics_;
  Executors executors_{kDiskThreads};
  std::unique_ptr<storage::CheckpointStore> store_;
  ByteBudget event_budget_{kMaxPendingEventBytes};
  std::unique_ptr<IndexWriter> index_;
  std::shared_ptr<RunActor> actor_;
};

// A trainer connects while a save is being completed: the save ends after the older session was
// fenced, and before the Welcome is durable.
TEST_F(RunActorTest, AnOutcomeFollowsTheWelcome) {
  const auto first = Connect();
  Tell(first, EpochEnd(1, 0, 0.5));
  ASSERT_EQ(first->NextDecision().saves_size(), 1);
  WritePart("1");
  std::promise<void> ended;
  first->on_close = [&] {
    storage::RunUpdate nothing;
    nothing.run = "r";
    index_->Submit(std::make_shared<IndexLane>(), std::move(nothing),
                   [&](const absl::StatusOr<storage::ApplyResult>&) {
                     ended.get_future().wait();  // and with it the Welcome behind it
                   });
  };
  actor_->FinishPart("1", [&](const absl::StatusOr<v1::Checkpoint>&) { ended.set_value(); });
  EXPECT_TRUE(OpenUpload("1").ok()) << "answered once the actor is at work on the save";
  const auto second = Connect();
  bool told = false;  // before it was fenced
  for (auto next = first->Next(); next.ok(); next = first->Next()) {
    told = told || next->has_outcome();
  }
  if (told) return;
  const auto next = second->Next();
  EXPECT_TRUE(next.ok() && next->has_outcome()) << next.status();
}

// A trainer that came back while the daemon finished a commit was told of it before it was durable
// and had its name.
TEST_F(RunActorTest, ASaveIsNotToldAsCommittedBeforeItIs) {
  const auto session = Connect();
  Tell(session, EpochEnd(1, 0, 0.5));
  ASSERT_EQ(session->NextDecision().saves_size(), 1);
  WritePart("1");
  std::promise<void> gate;
  std::promise<void> reached;
  storage::RunUpdate nothing;
  nothing.run = "r";
  index_->Submit(std::make_shared<IndexLane>(), std::move(nothing),
                 [&](const absl::StatusOr<storage::ApplyResult>&) {
                   reached.set_value();
                   gate.get_future().wait();
                 });
  reached.get_future().wait();
  actor_->FinishPart("1", [](const absl::StatusOr<v1::Checkpoint>&) {});
  while (metrics_.index_queue.Value() < 1)
    std::this_thread::yield();  // the commit, behind the gate

  auto [done, answer] = Awaitable<absl::StatusOr<v1::Checkpoint>>();
  actor_->OpenUpload("1", done);
  EXPECT_FALSE(OpenUpload("2").ok()) << "never decided; answered after the one before";
  EXPECT_EQ(answer.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  gate.set_value();
  const auto committed = answer.get();
  ASSERT_TRUE(committed.ok()) << committed.status();
  EXPECT_EQ(committed->state(), v1::Checkpoint::STATE_COMMITTED);
  EXPECT_TRUE(
      std::filesystem::exists(folder_ / ("data/runs/r/" + committed->placements(0).filepath())));
}

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

  v1::Event event = EpochEnd(1, 0, 0.5);
  event.set_kind(v1::Event::KIND_BATCH_END);
  auto batch = std::make_shared<v1::EventBatch>(Batch({event}));
  event.set_seq(2);
  auto next = std::make_shared<v1::EventBatch>(Batch({event}));
  auto [read_next, first] = Awaitable<bool>();
  actor_->TakeEvents(session, std::move(batch), kMaxPendingEventBytes,
                     [read_next = read_next] { read_next(true); });
  EXPECT_TRUE(first.get());
  auto [read_on, ready] = Awaitable<bool>();
  actor_->TakeEvents(session, std::move(next), kBatchBytes, [read_on = read_on] { read_on(true); });
  auto [done, refused] = Awaitable<absl::Status>();
  actor_->DeleteRun(done);  // its answer comes after the events have been looked at
  EXPECT_EQ(ReasonOf(refused.get()), v1::ERROR_REASON_RUN_IN_USE);
  EXPECT_EQ(ready.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  disk.set_value();
  EXPECT_TRUE(ready.get());
}

// A batch that stops for a look at names goes on before the next one, whether it came to a run that
// was free or to one that was busy: out of order they would be refused as a gap.
TEST_F(RunActorTest, BatchesWithSavesStayInOrder) {
  const auto session = Connect();
  Tell(session, EpochEnd(1, 0, 0.9));
  ASSERT_EQ(session->NextDecision().saves_size(), 1);
  auto [at_work, busy] = Awaitable<bool>();
  std::promise<void> go_on;
  actor_->OpenUpload("1", [&, at_work = at_work](const absl::StatusOr<v1::Checkpoint>&) {
    at_work(true);
    go_on.get_future().wait();
  });
  busy.get();
  Tell(session, EpochEnd(2, 1, 0.7));
  Tell(session, EpochEnd(3, 2, 0.8));
  go_on.set_value();
  Tell(session, EpochEnd(4, 3, 0.6));
  for (uint64_t seq = 5; seq <= 8; ++seq) Tell(session, EpochEnd(seq, 4, 0.5 - 0.1 * (seq % 2)));
  std::set<uint64_t> decided;
  while (decided.size() < 7) {
    const v1::Decision decision = session->NextDecision();
    ASSERT_NE(decision.seq(), 0u) << "the session was closed";
    decided.insert(decision.seq());
  }
  EXPECT_EQ(*decided.begin(), 2u);
  EXPECT_EQ(*decided.rbegin(), 8u);
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

TEST_F(RunActorTest, ADamagedBestGivesWayToTheBestOfTheRest) {
  const auto session = Connect();
  uint64_t seq = 0;
  for (const double loss : {0.4, 0.3, 0.2, 0.1}) {
    ++seq;
    Tell(session, EpochEnd(seq, static_cast<int64_t>(seq), loss));
    ASSERT_EQ(session->NextDecision().saves_size(), 1);
    Commit(std::to_string(seq));
  }
  const auto saves = [&](double loss) {
    ++seq;
    Tell(session, EpochEnd(seq, static_cast<int64_t>(seq), loss));
    return session->NextDecision().saves_size() == 1;
  };
  const auto pass_over = [&](const std::string& id) {
    auto [done, passed_over] = Awaitable<absl::Status>();
    actor_->PassOver(id, done);
    return passed_over.get();
  };
  EXPECT_FALSE(saves(0.35));
  // Each comes after the best of the rest has been damaged, too.
  DestroyAndMark({"3", "4"});
  EXPECT_TRUE(pass_over("3").ok());
  EXPECT_FALSE(saves(0.15));  // 3 was not the best
  EXPECT_TRUE(pass_over("4").ok());
  EXPECT_FALSE(saves(0.35));  // 2 has 0.3
  EXPECT_TRUE(saves(0.25));
  EXPECT_EQ(ReasonOf(pass_over("99")), v1::ERROR_REASON_CHECKPOINT_NOT_FOUND);
  EXPECT_TRUE(store_->GetCheckpoint("r", "4").ok());
}

TEST_F(RunActorTest, DeletionPassesOverDamagedOnes) {
  const auto session = Connect();
  uint64_t seq = 0;
  for (const double loss : {0.4, 0.3, 0.2, 0.1}) {
    ++seq;
    Tell(session, EpochEnd(seq, static_cast<int64_t>(seq), loss));
    ASSERT_EQ(session->NextDecision().saves_size(), 1);
    Commit(std::to_string(seq));
  }
  DestroyAndMark({"2", "3"});
  auto [done, deleted] = Awaitable<absl::Status>();
  actor_->DeleteCheckpoint("4", done);
  EXPECT_TRUE(deleted.get().ok());
  Tell(session, EpochEnd(seq + 1, 9, 0.35));
  EXPECT_EQ(session->NextDecision().saves_size(), 1);
}

TEST_F(RunActorTest, TheWallClockOrdersNothing) {
  auto session = Connect();
  std::vector<std::string> ids;
  for (const int days : {0, -1, 1, -400, 400}) {
    clock_.days = days;
    const uint64_t seq = ids.size() + 1;
    Tell(session, EpochEnd(seq, static_cast<int64_t>(seq), 1.0 / static_cast<double>(seq)));
    ASSERT_EQ(session->NextDecision().saves_size(), 1);
    ids.push_back(std::to_string(seq));
    Commit(ids.back());
    EXPECT_EQ(store_->GetLatest("r")->name(), CheckpointName("r", ids.back()));
    EXPECT_EQ(store_->GetBest("r", "loss", false, "")->name(), CheckpointName("r", ids.back()));
  }
  // Every page follows the one before, in either order.
  for (const std::string order : {"id", "create_time"}) {
    storage::CheckpointQuery query{.run = "r", .page_size = 2, .filter = "", .order_by = order};
    std::set<std::string> seen;
    do {
      const auto page = store_->ListCheckpoints(query);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const v1::Checkpoint& checkpoint : page->checkpoints) seen.insert(checkpoint.name());
      query.page_token = page->next_page_token;
    } while (!query.page_token.empty());
    EXPECT_EQ(seen.size(), ids.size()) << order;
  }
  // A trainer that comes long before the last one left goes on where that was.
  clock_.days = -800;
  session = Connect();
  Tell(session, EpochEnd(ids.size() + 1, 9, 0.19));
  EXPECT_EQ(session->NextDecision().saves_size(), 1);
}

TEST_F(RunActorTest, ATrainerThatStaysAwayLosesItsOpenSaveAndNothingElse) {
  save_timeout_ = std::chrono::milliseconds(1);
  MakeActor();
  auto session = Connect();
  Tell(session, EpochEnd(1, 0, 0.5));
  ASSERT_EQ(session->NextDecision().saves_size(), 1);
  Commit("1");
  Tell(session, EpochEnd(2, 1, 0.3));
  ASSERT_EQ(session->NextDecision().saves_size(), 1);
  WritePart("2");
  // Such as one that is stopped, whose connection is given up after a while.
  actor_->Detach(session);
  while (OpenUpload("2").ok()) {
  }
  EXPECT_EQ(ReasonOf(OpenUpload("2").status()), v1::ERROR_REASON_SAVE_NOT_OPEN);

  session = Connect();
  Tell(session, EpochEnd(3, 2, 0.4));  // the best is 0.5 again
  EXPECT_EQ(session->NextDecision().saves_size(), 1);
  Commit("3");
  EXPECT_EQ(store_->GetBest("r", "loss", false, "")->name(), "runs/r/checkpoints/3");
  EXPECT_TRUE(store_->GetCheckpoint("r", "1").ok());
}

// The last part comes when the run has begun to look which parts are there, and has not seen it.
TEST_F(RunActorTest, APartThatComesWhileTheOthersAreCountedCompletesTheSave) {
  const auto session = Connect();
  Tell(session, EpochEnd(1, 0, 0.5));
  ASSERT_EQ(session->NextDecision().saves_size(), 1);
  WritePart("1", "a", 2);
  WritePart("1", "b", 2);
  const std::string staging = folder_ / ("data/" + storage::StagingPath("r@1"));
  const std::string finished = staging + "/" + storage::SessionFileName("b");
  const std::string hidden = folder_ / "b";
  std::filesystem::rename(finished, hidden);
  auto [last_done, last] = Awaitable<absl::StatusOr<v1::Checkpoint>>();
  file_system_.set_plan([&](int64_t, std::string_view operation, std::string_view path) {
    const bool listed = operation == "open" && path.ends_with(storage::SessionFileName("a"));
    if (listed && std::filesystem::exists(hidden)) {
      std::filesystem::rename(hidden, finished);
      actor_->FinishPart("1", last_done);
    }
    return 0;
  });
  actor_->FinishPart("1", [](const absl::StatusOr<v1::Checkpoint>&) {});
  const auto checkpoint = last.get();
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->state(), v1::Checkpoint::STATE_COMMITTED);
  file_system_.set_plan(nullptr);
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
