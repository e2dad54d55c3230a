// One actor for each run in use: everything that happens to the run goes through its strand, one
// thing at a time.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/resources.pb.h"
#include "ckpt/v1/training_service.pb.h"
#include "server/http/metrics.h"
#include "server/run/byte_budget.h"
#include "server/run/executors.h"
#include "server/run/index_writer.h"
#include "server/run/run_state.h"
#include "server/run/snapshots.h"
#include "server/run/trainer_session.h"
#include "storage/base/clock.h"
#include "storage/checkpoint_store.h"

namespace ckpt::server {

// What every actor works with. Outlives them all.
struct RunServices {
  storage::CheckpointStore& store;
  Executors& executors;
  IndexWriter& index;
  ByteBudget& event_budget;  // kMaxPendingEventBytes
  Metrics& metrics;
  const Clock& clock;
  std::chrono::milliseconds save_timeout;  // until an open save without a trainer is given up
};

// Lives as long as somebody holds it: sessions, uploads, its own work under way, and itself while
// it has open saves. All public functions are thread-safe and do not block; callbacks run on the
// strand and must not block.
//
// In memory a run is always ahead of the index by what is being written. Should such a write fail
// the actor is broken: it tells everybody so, the registry forgets it, and the next use of the run
// starts from what the index holds.
class RunActor : public std::enable_shared_from_this<RunActor> {
 public:
  using Gone = std::function<void(const RunActor&)>;
  using SaveDone = absl::AnyInvocable<void(absl::StatusOr<v1::Checkpoint>)>;
  using Done = absl::AnyInvocable<void(absl::Status)>;

  // `gone` tells the registry to forget this actor: it is broken, or its run was deleted.
  RunActor(RunServices services, storage::RunSnapshot snapshot, Gone gone);
  ~RunActor();

  // Goes on with what the last daemon left: finishes published saves, times open ones. Once.
  void Recover(std::vector<v1::Checkpoint> published);

  const std::string& run() const { return run_; }
  bool connected() const { return connected_; }

  // ---- Trainers (run_actor.cc).

  // Answers with a Welcome, or closes the session. An older session of the run is fenced.
  // `policies` as RunState::Attach has it.
  void Attach(v1::Hello hello, std::vector<v1::CheckpointPolicy> policies, v1::Limits limits,
              std::shared_ptr<TrainerSession> session);
  // Takes events, whose memory the caller puts at `bytes`, once the budget of those that are not
  // durable has room for them; calls `ready` then: the next batch may come while these wait for
  // their turn. Closes the session on bad ones. The batch is the actor's, which lets it go as soon
  // as its events are taken. May send to the session before it returns.
  void TakeEvents(std::shared_ptr<TrainerSession> session, std::shared_ptr<v1::EventBatch> batch,
                  int64_t bytes, Task ready);
  void Abandon(std::shared_ptr<TrainerSession> session, v1::AbandonSave abandon);
  // Nothing more will come of the session. Closes it with OK once all that came has been answered.
  void Detach(std::shared_ptr<TrainerSession> session);
  // The daemon is going down: closes the session, if any, with `status`, and stops timing open
  // saves. `retired` comes on the strand, when what is held in memory is on its way to the disk.
  void Retire(absl::Status status, Task retired);

  // ---- Saves (run_saves.cc). Ids are decimal.

  // Whether the save takes uploads: gives it (STATE_SAVING), the checkpoint it has become
  // (STATE_COMMITTED; name and state alone if that has been replaced or deleted since), or
  // SAVE_NOT_OPEN.
  void OpenUpload(std::string id, SaveDone done);
  // A part is finished. Gives the committed checkpoint if the save is complete now, the save if
  // parts are missing, or why it failed.
  void FinishPart(std::string id, SaveDone done);
  // A part of a save for memory has come. `done` gets the save; `store` is called when the snapshot
  // is to be persisted, and let go when it is not needed.
  void HoldPart(std::string id, std::string part, int part_count, Snapshots::Store store,
                SaveDone done);
  // What `store` began has failed: the snapshot before it takes its place, if the trainer is lost.
  void PersistFailed(std::string id, absl::Status why);
  // Complete ones that are held.
  int64_t snapshots() const { return held_; }

  // Has the newest snapshot persisted, or else the trainer save now. `decided` gets the save, which
  // is durable, and of which the trainer has been told, or why there is none: NO_TRAINER,
  // LIMIT_EXCEEDED, a name that is blocked. After a save comes `ended`, with the checkpoint or why
  // it failed; DRAINING if the daemon ends before.
  void SaveNow(SaveDone decided, SaveDone ended);
  // CHECKPOINT_NOT_FOUND.
  void DeleteCheckpoint(std::string id, Done done);
  // The checkpoint has been marked as damaged: policies whose best it is go on with the best of the
  // rest, as after its deletion. CHECKPOINT_NOT_FOUND.
  void PassOver(std::string id, Done done);
  // RUN_IN_USE while a trainer is connected.
  void DeleteRun(Done done);

 private:
  // From the last part's arrival, or whatever else ends a save, until EndSave.
  struct Finishing {
    std::vector<SaveDone> waiters;
    std::optional<MetricTimer::Timing> timing;
    bool more = false;  // a part has come that was perhaps not seen when the parts were counted
  };

  // Events of which some wait for their turn, or are not durable yet.
  struct Taking {
    Taking(std::shared_ptr<TrainerSession> from, std::shared_ptr<v1::EventBatch> batch)
        : session(std::move(from)), intake{std::move(batch)} {}
    const std::shared_ptr<TrainerSession> session;
    RunState::Intake intake;
    std::optional<ByteGrant> grant;
  };

  // What a session is told of its events. Of progress only the newest counts.
  struct Progress {
    std::atomic<uint64_t> durable_seq = 0;
    std::atomic<bool> on_its_way = false;
  };

  // A checkpoint that is to lose its rank, or to be deleted altogether.
  struct Departure {
    std::string id;
    bool deleted;
    Done done;
  };

  using Bests = std::map<std::string, std::optional<v1::Checkpoint>>;  // by policy

  template <typename Fn>
  void PostStrand(Fn fn);
  template <typename Fn>
  void PostDisk(Fn fn);

  void AttachNow(v1::Hello hello, std::vector<v1::CheckpointPolicy> policies, v1::Limits limits,
                 std::shared_ptr<TrainerSession> session,
                 const std::optional<v1::Checkpoint>& resumed_from);
  void Welcomed(v1::Welcome welcome, std::shared_ptr<TrainerSession> session,
                uint64_t resend_after);
  void ResendDecisions(std::shared_ptr<TrainerSession> session, uint64_t after, uint64_t until);
  void Resend(const std::shared_ptr<TrainerSession>& session, const v1::EventRecord& record);
  void TellIfEnded(std::shared_ptr<TrainerSession> session, const std::string& id);
  // `may_look`: on a thread that may look at names on the disk. Otherwise the events from the first
  // one that needs that wait for such a thread.
  void TakeEventsNow(const std::shared_ptr<Taking>& taking, bool may_look);
  void AnswerEvents(const std::shared_ptr<Taking>& taking, RunState::Taken taken);
  // The answers that somebody waits for to be durable: with saves, to events with staged bytes, and
  // to the end of training.
  void AnswerSaves(const std::shared_ptr<Taking>& taking, RunState::Taken taken,
                   std::vector<v1::Decision> saves);
  void SendDecision(const std::shared_ptr<TrainerSession>& session, v1::Decision decision);
  void CountDecision(const v1::Decision& decision);
  void DropSession();
  void CloseWhenAnswered(std::shared_ptr<TrainerSession> session);
  void Break(const absl::Status& status);
  void FailWaiters();
  void FailCallers(const absl::Status& why);
  void WatchOpenSaves();
  void GiveUpOpenSaves(uint64_t generation);

  void UseStage(const RunState::StageUse& use, Task then);
  void Complete(std::string id);
  void Published(const std::string& id, absl::StatusOr<v1::Checkpoint> checkpoint);
  void CommitPublished(v1::Checkpoint checkpoint);
  void ProjectAndEvict(v1::Checkpoint checkpoint, const storage::ApplyResult& result);
  void Incomplete(const std::string& id);
  void FailSave(const std::string& id, const absl::Status& why);
  void EndSave(const std::string& id, absl::StatusOr<v1::Checkpoint> outcome);
  void DropSnapshot(const std::string& id);
  void LeaveSnapshots();
  void PersistLeft();
  std::vector<Snapshots::Store> TakeSnapshot(const std::string& id);
  void Persist(const std::string& id);
  v1::Checkpoint SnapshotToSave();
  void SaveNowOnStrand(SaveDone decided, SaveDone ended);
  void TellTrainer(v1::TrainResponse response);
  void AddDeparture(Departure departure);
  void NextDeparture();
  void Depart(Departure departure, const Bests& next_best);
  absl::StatusOr<Bests> NextBests(
      std::string_view id, const std::vector<std::pair<std::string, std::string>>& orders) const;

  RunServices services_;
  const std::string run_;
  Gone gone_;
  SerialExecutor strand_;
  SerialExecutor
      disk_;  // this run's blocking work, in order: names and deletions must not overtake
  std::atomic<bool> connected_ = false;
  std::atomic<int64_t> held_ = 0;

  // Used on the strand only.
  const std::shared_ptr<IndexLane> lane_ = std::make_shared<IndexLane>();
  RunState state_;
  std::shared_ptr<TrainerSession> session_;
  std::shared_ptr<Progress> progress_;     // of the session
  bool welcomed_ = false;                  // whether the session has been sent its Welcome
  std::vector<v1::TrainResponse> untold_;  // what follows the Welcome; an outcome a save at most
  absl::Status broken_;
  absl::Status retired_;
  Snapshots snapshots_;  // of the trainer
  Snapshots left_;       // complete ones of trainers that were lost
  std::map<std::string, Finishing, std::less<>> finishing_;
  std::map<std::string, std::vector<SaveDone>, std::less<>> callers_;  // of SaveNow, by save
  std::deque<Departure> departures_;                                   // the first is under way
  std::shared_ptr<RunActor> self_;  // while open saves must be timed
  uint64_t watch_generation_ = 0;   // tells a timer whether it is still wanted
};

}  // namespace ckpt::server
