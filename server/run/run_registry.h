// Finds the actor of a run, and makes it when the run comes into use.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "server/run/run_actor.h"

namespace ckpt::server {

// Thread-safe. Actors are held by those who use them; the registry only knows them.
class RunRegistry {
 public:
  using Opened = absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<RunActor>>)>;

  explicit RunRegistry(RunServices services);
  ~RunRegistry();

  // Calls `opened` with the actor of a run, on a disk thread. A run that does not exist yet gets an
  // actor if `create`, else RUN_NOT_FOUND. DRAINING once draining.
  void Open(std::string run, bool create, Opened opened);

  // Lets the actors of `runs` go on with what the last daemon left.
  void Recover(const std::vector<std::string>& runs);

  // Whether a trainer of the run is connected.
  bool Connected(std::string_view run) const;
  int64_t ConnectedCount() const;
  // Complete snapshots that are held, of all runs.
  int64_t SnapshotCount() const;

  // Whether Drain was called.
  bool draining() const;
  // From now on nobody gets an actor; connected trainers are told to come back. Returns when what
  // the runs hold in memory is on its way to the disk, also that of trainers lost just before.
  // Not to be called by a thread of the executors.
  void Drain();

 private:
  std::shared_ptr<RunActor> Find(const std::string& run) const;
  std::vector<std::shared_ptr<RunActor>> Live() const;
  absl::StatusOr<std::shared_ptr<RunActor>> Load(const std::string& run, bool create);
  void Forget(const RunActor& actor);

  RunServices services_;
  SerialExecutor loader_;  // one at a time, so that no run gets two actors
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::weak_ptr<RunActor>> actors_;  // guarded by mutex_
  bool draining_ = false;                                            // guarded by mutex_
};

}  // namespace ckpt::server
