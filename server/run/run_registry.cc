#include "server/run/run_registry.h"

#include <spdlog/spdlog.h>

#include <iterator>
#include <latch>
#include <utility>

#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::server {

RunRegistry::RunRegistry(RunServices services)
    : services_(services), loader_(services.executors.NewDiskStrand()) {}

RunRegistry::~RunRegistry() = default;

void RunRegistry::Open(std::string run, bool create, Opened opened) {
  loader_.Post([this, run = std::move(run), create, opened = std::move(opened)]() mutable {
    {
      const std::lock_guard lock(mutex_);
      if (draining_) return opened(Draining());
    }
    if (std::shared_ptr<RunActor> actor = Find(run)) return opened(std::move(actor));
    opened(Load(run, create));
  });
}

std::shared_ptr<RunActor> RunRegistry::Find(const std::string& run) const {
  const std::lock_guard lock(mutex_);
  const auto found = actors_.find(run);
  return found == actors_.end() ? nullptr : found->second.lock();
}

absl::StatusOr<std::shared_ptr<RunActor>> RunRegistry::Load(const std::string& run, bool create) {
  absl::StatusOr<storage::RunSnapshot> snapshot = services_.store.LoadRun(run);
  if (!snapshot.ok()) {
    if (!create || ReasonOf(snapshot.status()) != v1::ERROR_REASON_RUN_NOT_FOUND) {
      return snapshot.status();
    }
    snapshot = storage::RunSnapshot{};
    snapshot->run.set_name(RunName(run));
  }
  std::vector<v1::Checkpoint> published = std::move(snapshot->published);
  auto actor = std::make_shared<RunActor>(services_, *std::move(snapshot),
                                          [this](const RunActor& gone) { Forget(gone); });
  {
    const std::lock_guard lock(mutex_);
    if (draining_) return Draining();  // Drain would not find it
    std::erase_if(actors_, [](const auto& entry) { return entry.second.expired(); });
    actors_[run] = actor;
  }
  actor->Recover(std::move(published));
  return actor;
}

void RunRegistry::Forget(const RunActor& actor) {
  const std::lock_guard lock(mutex_);
  const auto found = actors_.find(actor.run());
  if (found != actors_.end() && found->second.lock().get() == &actor) actors_.erase(found);
}

void RunRegistry::Recover(const std::vector<std::string>& runs) {
  for (const std::string& run : runs) {
    Open(run, /*create=*/false, [run](absl::StatusOr<std::shared_ptr<RunActor>> actor) {
      if (!actor.ok()) {
        spdlog::error("run {} cannot be recovered: {}", run, MessageOf(actor.status()));
      }
    });
  }
}

bool RunRegistry::Connected(std::string_view run) const {
  const std::shared_ptr<RunActor> actor = Find(std::string(run));
  return actor != nullptr && actor->connected();
}

std::vector<std::shared_ptr<RunActor>> RunRegistry::Live() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<RunActor>> live;
  for (const auto& [run, weak] : actors_) {
    if (auto actor = weak.lock()) live.push_back(std::move(actor));
  }
  return live;
}

int64_t RunRegistry::ConnectedCount() const {
  int64_t count = 0;
  for (const auto& actor : Live()) count += actor->connected() ? 1 : 0;
  return count;
}

int64_t RunRegistry::SnapshotCount() const {
  int64_t count = 0;
  for (const auto& actor : Live()) count += actor->snapshots();
  return count;
}

bool RunRegistry::draining() const {
  const std::lock_guard lock(mutex_);
  return draining_;
}

void RunRegistry::Drain() {
  {
    const std::lock_guard lock(mutex_);
    draining_ = true;
  }
  const auto actors = Live();
  std::latch retired(std::ssize(actors));
  for (const auto& actor : actors) actor->Retire(Draining(), [&retired] { retired.count_down(); });
  retired.wait();
}

}  // namespace ckpt::server
