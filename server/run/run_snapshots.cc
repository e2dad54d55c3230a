// RunActor's snapshots in memory: held, replaced by newer ones, persisted when the trainer is lost.

#include <spdlog/spdlog.h>

#include <utility>

#include "server/run/run_actor.h"
#include "server/run/run_actor_post.h"
#include "storage/base/errors.h"

namespace ckpt::server {

void RunActor::HoldPart(std::string id, std::string part, int part_count, Snapshots::Store store,
                        SaveDone done) {
  PostStrand([this, id = std::move(id), part = std::move(part), part_count,
              store = std::move(store), done = std::move(done)]() mutable {
    if (!broken_.ok()) return done(broken_);
    if (state_.OpenSave(id) == nullptr) return OpenUpload(std::move(id), std::move(done));
    const v1::Checkpoint save = *state_.OpenSave(id);
    if (!state_.Persisting(id) && !state_.Publishing(id)) {
      for (const std::string& dropped : snapshots_.Hold(save, part, part_count, std::move(store))) {
        DropSnapshot(dropped);
      }
      held_ = snapshots_.complete() + left_.complete();
    }
    done(save);
    // It was handed over before the trainer was lost.
    if (session_ == nullptr) LeaveSnapshots();
  });
}

// It is held no more.
std::vector<Snapshots::Store> RunActor::TakeSnapshot(const std::string& id) {
  std::vector<Snapshots::Store> stores = snapshots_.Take(id);
  if (stores.empty()) stores = left_.Take(id);
  held_ = snapshots_.complete() + left_.complete();
  return stores;
}

void RunActor::DropSnapshot(const std::string& id) {
  TakeSnapshot(id);
  FailSave(id, SnapshotDropped());
}

// The trainer is gone, or is sent away. What it leaves is safe from the trainers that follow it.
void RunActor::LeaveSnapshots() {
  if (state_.trainer_ended()) {
    for (const std::string& id : snapshots_.ids()) DropSnapshot(id);
    return;
  }
  if (snapshots_.complete() == 0) return;
  left_.TakeComplete(snapshots_);
  for (const std::string& id : left_.ids()) state_.SetPersisting(id);
  PersistLeft();
}

void RunActor::PersistLeft() {
  for (const std::string& id : left_.NewestOfEach()) Persist(id);
}

// From here on it is a save like any other whose bytes come.
void RunActor::Persist(const std::string& id) {
  spdlog::info("run {}: snapshot {} is persisted", run_, id);
  state_.SetPersisting(id);
  for (Snapshots::Store& store : TakeSnapshot(id)) store(shared_from_this());
}

void RunActor::PersistFailed(std::string id, absl::Status why) {
  PostStrand([this, id = std::move(id), why = std::move(why)] {
    // The save stays open: its trainer hands it over again to the next daemon.
    if (!broken_.ok() || ReasonOf(why) == v1::ERROR_REASON_DRAINING) return;
    FailSave(id, why);
    PersistLeft();  // the one before it
  });
}

}  // namespace ckpt::server
