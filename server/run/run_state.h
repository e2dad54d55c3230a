// What ckptd knows about one run while it is in use: policies and their states, event position,
// metric dictionary, open saves. Turns what happens into index updates and answers. No threads, no
// I/O: the run's actor owns one and calls it on its strand.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/resources.pb.h"
#include "ckpt/v1/training_service.pb.h"
#include "server/policy/decide.h"
#include "storage/catalog/run_update.h"

namespace ckpt::server {

class RunState {
 public:
  // As the catalog left it; for a run that does not exist yet, a snapshot that names it and has no
  // create_time.
  explicit RunState(storage::RunSnapshot snapshot);

  const std::string& id() const { return id_; }
  bool exists() const { return run_.has_create_time(); }
  // Whether the newest trainer has reported the end of training.
  bool trainer_ended() const { return trainer_ended_; }
  uint64_t writer_epoch() const { return progress_.writer_epoch(); }
  uint64_t last_seq() const { return last_seq_; }
  const v1::Run& run() const { return run_; }
  // The run resource with policy states and position as they are now.
  v1::Run Describe() const;

  // ---- Trainers.

  struct Attached {
    storage::RunUpdate update;
    bool new_writer = false;
    std::vector<std::string> failed_saves;  // of the writer that was replaced; their bytes can go
  };
  // A trainer says Hello. `policies` are those to be in force (empty: the run's own stay);
  // `resumed_from` is the checkpoint it loaded. Errors leave the state as it was: RUN_EXISTS,
  // WRITER_FENCED, FIELD_INVALID (writer_epoch from elsewhere), those of PolicySet::Create,
  // SHARED_MEMORY_REQUIRED.
  absl::StatusOr<Attached> Attach(const v1::Hello& hello,
                                  std::vector<v1::CheckpointPolicy> policies,
                                  const std::optional<v1::Checkpoint>& resumed_from,
                                  int64_t now_unix_nanos);
  // The answer to Hello (without limits, socket and version).
  v1::Welcome MakeWelcome() const;

  // ---- Events.

  // Bytes that were staged for an event, and the save they belong to (empty: none, discard them).
  struct StageUse {
    std::string stage_id;
    std::string save;
  };
  // A batch of events of rank 0, of which some may have been taken already.
  struct Intake {
    std::shared_ptr<v1::EventBatch> batch;
    bool begun = false;   // its names of metrics are known
    int next = 0;         // the first event that was not taken
    bool mapped = false;  // that one has the run's metric ids already
  };
  struct Taken {
    storage::RunUpdate update;
    std::vector<v1::Decision> answers;  // in order; those with saves wait until `update` is durable
    std::vector<StageUse> stages;
    // OK, or what was wrong with the first event that was not taken: SEQUENCE_GAP, EVENT_INVALID,
    // LIMIT_EXCEEDED. Events before it were taken.
    absl::Status status;
    bool name_check_wanted = false;  // it stopped before an event whose decision needs one
  };
  // Takes events in order. Those that are known already are passed over; the others get the run's
  // metric ids. Without `name_check` it may stop early; it goes on from there when it is called
  // again with one, and nothing else was taken meanwhile.
  Taken Take(Intake& intake, std::optional<policy::NameCheck> name_check, int64_t now_unix_nanos);

  struct OnDemand {
    storage::RunUpdate update;
    v1::Decision decision;  // waits until `update` is durable
  };
  // A save that no event asks for. Errors: those of policy::DecideOnDemand.
  absl::StatusOr<OnDemand> SaveOnDemand(policy::NameCheck name_check, int64_t now_unix_nanos);

  // ---- Saves. Ids are decimal ids.

  // The save, or nothing if it is not open.
  const v1::Checkpoint* OpenSave(std::string_view id) const;
  std::vector<std::string> OpenSaveIds() const;
  // One that was asked for by SaveOnDemand and whose bytes have not come; nothing if there is none.
  const v1::Checkpoint* OpenOnDemand() const;
  // A save is being published (or not any more): a new trainer no longer (again) fails it.
  void SetPublishing(std::string_view id, bool publishing);
  bool Publishing(std::string_view id) const;
  // A snapshot is on its way to the disk, whoever took it: a new trainer does not fail it.
  void SetPersisting(std::string_view id);
  bool Persisting(std::string_view id) const;
  // The newest one of those; nothing if there is none.
  const v1::Checkpoint* OpenPersisting() const;
  // Whether the save is known to have become a checkpoint, which may have been replaced or deleted
  // since.
  bool WasCommitted(std::string_view id) const;
  // A published save becomes a checkpoint; or an open save ends without one. The save is closed.
  storage::RunUpdate Commit(const v1::Checkpoint& published);
  storage::RunUpdate Fail(std::string_view id);
  // Deletes a checkpoint. `next_best` has, for policies whose best it is, what follows (nothing:
  // the policy starts anew).
  storage::RunUpdate Delete(std::string_view id,
                            const std::map<std::string, std::optional<v1::Checkpoint>>& next_best);
  // A checkpoint is damaged, and no longer anybody's best. `next_best` as Delete has it.
  storage::RunUpdate PassOver(
      std::string_view id, const std::map<std::string, std::optional<v1::Checkpoint>>& next_best);
  // Policies whose best is checkpoint `id`.
  std::vector<const policy::Policy*> PoliciesWithBest(std::string_view id) const;

  const policy::PolicySet& policies() const { return policies_; }

 private:
  struct Save {
    v1::Checkpoint checkpoint;
    bool publishing = false;
    bool persisting = false;
  };

  storage::RunUpdate NewUpdate() const;
  v1::RunProgress Progress() const;
  void FailOpenSaves(Attached& attached);
  void CloseFailed(const std::string& id, storage::RunUpdate& update);
  absl::Status AdoptPolicies(std::vector<v1::CheckpointPolicy> policies, const v1::Hello& hello);
  absl::Status Intern(const v1::MetricName& metric, std::vector<v1::MetricName>& added);
  absl::Status CheckEvent(const v1::Event& event) const;
  absl::Status MapMetrics(v1::Event& event);
  // False, and nothing has changed, if the event's ids are not those of the newest event.
  bool MapAsNewest(v1::Event& event) const;
  policy::Logs LogsOf(const v1::Event& event) const;
  absl::Status Begin(const v1::EventBatch& batch, Taken& taken);
  absl::Status Admit(v1::Event& event);
  // Takes an event at which nobody decides, and for which nobody waits; false if it is none.
  bool TakeQuiet(const v1::Event& event, Taken& taken);
  // Nothing if the decision needs a `name_check` and there is none; then nothing has changed.
  std::optional<v1::Decision> Decide(const v1::Event& event,
                                     std::optional<policy::NameCheck> name_check);
  void TakeDecided(v1::Event& event, v1::Decision decision, int64_t now_unix_nanos, Taken& taken);
  // `event` is the newest that was taken.
  void Advance(const v1::Event& event);
  void MoveBest(std::string_view id,
                const std::map<std::string, std::optional<v1::Checkpoint>>& next_best);
  void OpenSaves(v1::Decision& decision, int64_t now_unix_nanos, storage::RunUpdate& update);

  std::string id_;
  v1::Run run_;
  v1::RunProgress
      progress_;  // policy_states: only of policies not in force; the others are states_
  policy::PolicySet policies_;
  std::vector<v1::PolicyState> states_;
  uint64_t last_seq_ = 0;  // newest event taken, durable or not
  bool trainer_ended_ = false;
  uint64_t answered_seq_ = 0;  // the trainer has had its answers up to here (see Hello)
  std::map<std::string, Save, std::less<>> saves_;  // by id

  std::vector<std::string> metrics_;  // the run's dictionary; index = id
  std::unordered_map<std::string, uint32_t> metric_ids_;
  std::unordered_map<uint32_t, uint32_t> stream_metrics_;  // this stream's id -> the run's id
  // Ids of metrics, and of those that are whole numbers.
  struct MetricIds {
    MetricIds() = default;
    explicit MetricIds(const v1::Event& event)
        : metrics(event.metric_ids().begin(), event.metric_ids().end()),
          integer_metrics(event.integer_metric_ids().begin(), event.integer_metric_ids().end()) {}
    std::vector<uint32_t> metrics;
    std::vector<uint32_t> integer_metrics;
  };
  MetricIds newest_ids_;               // of the newest event, the stream's: most have the same
  MetricIds newest_mapped_;            // and what they stand for
  std::vector<uint64_t> metric_uses_;  // by id: the newest of `mapped_events_` that had it
  uint64_t mapped_events_ = 0;
};

}  // namespace ckpt::server
