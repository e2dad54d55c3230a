#include "server/run/index_writer.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::server {
namespace {

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

bool OfSeveralRuns(const std::vector<storage::RunUpdate>& updates) {
  return std::any_of(updates.begin(), updates.end(), [&](const storage::RunUpdate& update) {
    return update.run != updates.front().run;
  });
}

}  // namespace

IndexWriter::IndexWriter(storage::CheckpointStore& store, Executors& executors, Metrics& metrics)
    : store_(store), executors_(executors), metrics_(metrics) {}

void IndexWriter::Submit(storage::RunUpdate update, Done done) {
  Enqueue({std::move(update), std::move(done)});
}

void IndexWriter::SubmitDeleteRun(std::string run, Done done) {
  Enqueue({DeleteRun{std::move(run)}, std::move(done)});
}

void IndexWriter::Enqueue(Item item) {
  bool start = false;
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(item));
    start = !std::exchange(draining_, true);
    metrics_.index_queue.Set(static_cast<double>(queue_.size()));
  }
  if (start) executors_.PostDisk([this] { Drain(); });
}

void IndexWriter::Drain() {
  std::vector<Item> items;
  {
    const std::lock_guard lock(mutex_);
    items.swap(queue_);
    metrics_.index_queue.Set(0);
  }
  WriteBatch(std::move(items));
  bool again = false;
  {
    const std::lock_guard lock(mutex_);
    again = !queue_.empty();
    draining_ = again;
  }
  if (again) executors_.PostDisk([this] { Drain(); });
}

void IndexWriter::WriteBatch(std::vector<Item> items) {
  std::vector<storage::RunUpdate> updates;
  std::vector<Done> dones;
  for (Item& item : items) {
    if (auto* update = std::get_if<storage::RunUpdate>(&item.change)) {
      updates.push_back(std::move(*update));
      dones.push_back(std::move(item.done));
      continue;
    }
    WriteUpdates(std::exchange(updates, {}), std::exchange(dones, {}));
    item.done(store_.DeleteRun(std::get<DeleteRun>(item.change).run));
  }
  WriteUpdates(std::move(updates), std::move(dones));
}

void IndexWriter::WriteUpdates(std::vector<storage::RunUpdate> updates, std::vector<Done> dones) {
  if (updates.empty()) return;
  const auto timing = metrics_.index_seconds.Start();
  const absl::StatusOr<storage::ApplyResult> result = store_.Apply(updates);
  timing.Stop();
  if (IsRefusal(result.status()) && OfSeveralRuns(updates)) {
    return WriteByRun(std::move(updates), std::move(dones));
  }
  for (size_t i = 0; i < dones.size(); ++i) {
    if (result.ok()) {
      dones[i](ResultOf(*result, updates[i].run));
    } else {
      dones[i](result.status());
    }
  }
}

void IndexWriter::WriteByRun(std::vector<storage::RunUpdate> updates, std::vector<Done> dones) {
  std::map<std::string, std::pair<std::vector<storage::RunUpdate>, std::vector<Done>>> by_run;
  for (size_t i = 0; i < updates.size(); ++i) {
    auto& [own_updates, own_dones] = by_run[updates[i].run];
    own_updates.push_back(std::move(updates[i]));
    own_dones.push_back(std::move(dones[i]));
  }
  for (auto& [run, own] : by_run) WriteUpdates(std::move(own.first), std::move(own.second));
}

}  // namespace ckpt::server
