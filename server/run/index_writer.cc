#include "server/run/index_writer.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::server {
namespace {

// What gathers at most while nobody waits for it.
constexpr size_t kMaxLingeringUpdates = 1024;
constexpr size_t kMaxLingeringEvents = 16384;

// The part of `result` that concerns `run`.
storage::ApplyResult ResultOf(const storage::ApplyResult& result, const std::string& run) {
  storage::ApplyResult own;
  for (const v1::Eviction& eviction : result.evictions) {
    const auto ref = ParseCheckpointName(eviction.checkpoint().name());
    if (ref.ok() && ref->run == run) own.evictions.push_back(eviction);
  }
  return own;
}

// Whether a batch was refused for what is in it. After a failed write nothing may be tried again.
bool IsRefusal(const absl::Status& status) {
  const v1::ErrorReason reason = ReasonOf(status);
  return !status.ok() && reason != v1::ERROR_REASON_STORAGE_FAILED &&
         reason != v1::ERROR_REASON_DISK_FULL;
}

bool HasOnlyEvents(const storage::RunUpdate& update) {
  return !update.run_row.has_value() && update.opened_saves.empty() &&
         update.closed_saves.empty() && update.committed.empty() && update.deleted.empty();
}

// Moves events, and what comes with them, behind those of an earlier update of the run.
void AppendEvents(storage::RunUpdate from, storage::RunUpdate& to) {
  if (from.progress.has_value()) to.progress = std::move(from.progress);
  std::ranges::move(from.new_metrics, std::back_inserter(to.new_metrics));
  to.events.Append(std::move(from.events));
}

}  // namespace

IndexWriter::IndexWriter(storage::CheckpointStore& store, Executors& executors, Metrics& metrics)
    : store_(store), executors_(executors), metrics_(metrics), timer_(executors.NewDiskStrand()) {}

void IndexWriter::Submit(std::shared_ptr<IndexLane> lane, storage::RunUpdate update, Done done) {
  Enqueue({std::move(update), {std::move(done), std::move(lane)}}, Urgency::kAtOnce);
}

void IndexWriter::SubmitLater(std::shared_ptr<IndexLane> lane, storage::RunUpdate update,
                              Done done) {
  Enqueue({std::move(update), {std::move(done), std::move(lane)}}, Urgency::kLater);
}

void IndexWriter::SubmitDeleteRun(std::string run, Done done) {
  Enqueue({DeleteRun{std::move(run)}, {std::move(done), nullptr}}, Urgency::kAtOnce);
}

void IndexWriter::Caller::Tell(absl::StatusOr<storage::ApplyResult> result) {
  if (lane != nullptr && !result.ok()) lane->failed_ = result.status();
  done(std::move(result));
}

void IndexWriter::WriteSoon() {
  const std::lock_guard lock(mutex_);
  if (queue_.empty()) return;
  urgent_ = true;
  Schedule();
}

void IndexWriter::Hurry() {
  const std::lock_guard lock(mutex_);
  hurried_ = true;
  Schedule();
}

void IndexWriter::Enqueue(Item item, Urgency urgency) {
  const auto* update = std::get_if<storage::RunUpdate>(&item.change);
  const std::lock_guard lock(mutex_);
  queued_events_ += update == nullptr ? 0 : update->events.size();
  queue_.push_back(std::move(item));
  urgent_ = urgent_ || urgency == Urgency::kAtOnce || queue_.size() >= kMaxLingeringUpdates ||
            queued_events_ >= kMaxLingeringEvents;
  metrics_.index_queue.Set(static_cast<double>(queue_.size()));
  Schedule();
}

void IndexWriter::Schedule() {
  if (draining_ || queue_.empty()) return;
  if (urgent_ || hurried_) {
    draining_ = true;
    executors_.PostDisk([this] { Drain(); });
  } else if (!std::exchange(lingering_, true)) {
    executors_.PostAfter(kLinger, timer_, [this] { Linger(); });
  }
}

void IndexWriter::Linger() {
  {
    const std::lock_guard lock(mutex_);
    lingering_ = false;
    if (draining_ || queue_.empty()) return;
    draining_ = true;
  }
  Drain();
}

void IndexWriter::Drain() {
  std::deque<Item> items;
  {
    const std::lock_guard lock(mutex_);
    items.swap(queue_);
    queued_events_ = 0;
    urgent_ = false;
    metrics_.index_queue.Set(0);
  }
  WriteBatch(std::move(items));
  const std::lock_guard lock(mutex_);
  draining_ = false;
  Schedule();
}

void IndexWriter::Updates::Add(storage::RunUpdate update, Caller caller) {
  const auto [found, is_new] = newest.try_emplace(update.run, updates.size());
  if (!is_new && HasOnlyEvents(update)) {
    AppendEvents(std::move(update), updates[found->second]);
    callers[found->second].push_back(std::move(caller));
    return;
  }
  found->second = updates.size();
  updates.push_back(std::move(update));
  callers.emplace_back().push_back(std::move(caller));
}

void IndexWriter::WriteBatch(std::deque<Item> items) {
  Updates gathered;
  for (Item& item : items) {
    Caller& caller = item.caller;
    if (caller.lane != nullptr && !caller.lane->failed_.ok()) {
      caller.Tell(caller.lane->failed_);
      continue;
    }
    if (auto* update = std::get_if<storage::RunUpdate>(&item.change)) {
      gathered.Add(std::move(*update), std::move(caller));
      continue;
    }
    WriteUpdates(std::exchange(gathered, {}));
    caller.Tell(store_.DeleteRun(std::get<DeleteRun>(item.change).run));
  }
  WriteUpdates(std::move(gathered));
}

void IndexWriter::WriteUpdates(Updates gathered) {
  if (gathered.updates.empty()) return;
  const auto timing = metrics_.index_seconds.Start();
  const absl::StatusOr<storage::ApplyResult> result = store_.Apply(gathered.updates);
  timing.Stop();
  if (IsRefusal(result.status()) && gathered.newest.size() > 1) {
    return WriteByRun(std::move(gathered));
  }
  for (size_t i = 0; i < gathered.updates.size(); ++i) {
    for (Caller& caller : gathered.callers[i]) {
      if (result.ok()) {
        caller.Tell(ResultOf(*result, gathered.updates[i].run));
      } else {
        caller.Tell(result.status());
      }
    }
  }
}

void IndexWriter::WriteByRun(Updates gathered) {
  std::map<std::string, Updates> by_run;
  for (size_t i = 0; i < gathered.updates.size(); ++i) {
    const std::string run = gathered.updates[i].run;
    Updates& own = by_run[run];
    own.newest[run] = own.updates.size();
    own.updates.push_back(std::move(gathered.updates[i]));
    own.callers.push_back(std::move(gathered.callers[i]));
  }
  for (auto& [run, own] : by_run) WriteUpdates(std::move(own));
}

}  // namespace ckpt::server
