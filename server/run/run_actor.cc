#include "server/run/run_actor.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "server/run/limits.h"
#include "server/run/run_actor_post.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::server {
namespace {

v1::TrainResponse DurableUntil(uint64_t seq) {
  v1::TrainResponse response;
  response.mutable_progress()->set_durable_seq(seq);
  return response;
}

}  // namespace

RunActor::RunActor(RunServices services, storage::RunSnapshot snapshot, Gone gone)
    : services_(services),
      run_(*ParseRunName(snapshot.run.name())),
      gone_(std::move(gone)),
      strand_(services.executors.NewActorStrand()),
      disk_(services.executors.NewDiskStrand()),
      state_(std::move(snapshot)) {}

RunActor::~RunActor() = default;

void RunActor::Recover(std::vector<v1::Checkpoint> published) {
  PostStrand([this, published = std::move(published)]() mutable {
    for (v1::Checkpoint& checkpoint : published) {
      const std::string id = ParseCheckpointName(checkpoint.name())->id;
      if (state_.OpenSave(id) == nullptr) continue;
      state_.SetPublishing(id, true);
      CommitPublished(std::move(checkpoint));
    }
    WatchOpenSaves();
  });
}

// ---- Trainers come and go.

void RunActor::Attach(v1::Hello hello, std::vector<v1::CheckpointPolicy> policies,
                      v1::Limits limits, std::shared_ptr<TrainerSession> session) {
  PostDisk([this, hello = std::move(hello), policies = std::move(policies),
            limits = std::move(limits), session = std::move(session)]() mutable {
    std::optional<v1::Checkpoint> resumed_from;
    if (!hello.resumed_from().empty()) {
      auto checkpoint = services_.store.GetCheckpoint(run_, hello.resumed_from());
      if (!checkpoint.ok()) return session->Close(Annotate(checkpoint.status(), "resumed_from"));
      resumed_from = *std::move(checkpoint);
    }
    PostStrand([this, hello = std::move(hello), policies = std::move(policies),
                limits = std::move(limits), session = std::move(session),
                resumed_from = std::move(resumed_from)]() mutable {
      AttachNow(std::move(hello), std::move(policies), std::move(limits), std::move(session),
                resumed_from);
    });
  });
}

void RunActor::AttachNow(v1::Hello hello, std::vector<v1::CheckpointPolicy> policies,
                         v1::Limits limits, std::shared_ptr<TrainerSession> session,
                         const std::optional<v1::Checkpoint>& resumed_from) {
  if (!broken_.ok()) return session->Close(broken_);
  if (!retired_.ok()) return session->Close(retired_);
  const uint64_t previous_epoch = state_.writer_epoch();
  if (hello.writer_epoch() == 0) LeaveSnapshots();  // of a trainer that is replaced
  auto attached =
      state_.Attach(hello, std::move(policies), resumed_from, services_.clock.UnixNanos());
  if (!attached.ok()) return session->Close(attached.status());

  if (session_ != nullptr) {
    session_->Close(WriterFenced(run_, hello.rank(), previous_epoch, state_.writer_epoch()));
    DropSession();
  }
  for (const std::string& id : attached->failed_saves) {
    EndSave(id, MakeError(v1::ERROR_REASON_SAVE_ABANDONED,
                          "a new trainer has taken over before the bytes of this save had come"));
  }
  session_ = session;
  progress_ = std::make_shared<Progress>();
  welcomed_ = false;
  untold_.clear();
  connected_ = true;
  services_.metrics.trainers.Add(1);
  self_.reset();
  ++watch_generation_;
  spdlog::info("run {}: trainer {} connected ({}{})", run_, state_.writer_epoch(), hello.client(),
               attached->new_writer ? "" : ", again");

  v1::Welcome welcome = state_.MakeWelcome();
  *welcome.mutable_limits() = std::move(limits);
  welcome.set_run_folder(services_.store.data_dir() + "/runs/" + run_);
  std::vector<std::string> awaited;
  for (const std::string& save : hello.awaited_saves()) {
    awaited.push_back(ParseCheckpointName(save)->id);
  }
  const uint64_t resend_after = attached->new_writer ? state_.last_seq() : hello.last_decided_seq();
  services_.index.Submit(
      lane_, std::move(attached->update),
      [self = shared_from_this(), welcome = std::move(welcome), session = std::move(session),
       awaited = std::move(awaited),
       resend_after](absl::StatusOr<storage::ApplyResult> result) mutable {
        RunActor* actor = self.get();
        actor->PostStrand([actor, status = result.status(), welcome = std::move(welcome),
                           session = std::move(session), awaited = std::move(awaited),
                           resend_after]() mutable {
          if (!status.ok()) return actor->Break(status);
          actor->Welcomed(std::move(welcome), session, resend_after);
          for (const std::string& id : awaited) actor->TellIfEnded(session, id);
        });
      });
}

void RunActor::Welcomed(v1::Welcome welcome, std::shared_ptr<TrainerSession> session,
                        uint64_t resend_after) {
  const uint64_t until = welcome.durable_seq();
  v1::TrainResponse response;
  *response.mutable_welcome() = std::move(welcome);
  session->Send(std::move(response));
  if (session == session_) {
    welcomed_ = true;
    for (v1::TrainResponse& untold : std::exchange(untold_, {})) session->Send(std::move(untold));
  }
  if (resend_after < until) ResendDecisions(std::move(session), resend_after, until);
}

void RunActor::ResendDecisions(std::shared_ptr<TrainerSession> session, uint64_t after,
                               uint64_t until) {
  PostDisk([this, session = std::move(session), after, until] {
    for (uint64_t seq = after + 1; seq <= until; ++seq) {
      auto record = services_.store.GetEvent(run_, 0, seq);
      if (!record.ok()) return session->Close(record.status());
      // A trainer waits for one answer at a time, so an event without a decision matters only if it
      // is the newest.
      if (!record->has_value() || (!(*record)->has_decision() && seq != until)) continue;
      PostStrand([this, session, record = **std::move(record)] { Resend(session, record); });
    }
  });
}

void RunActor::Resend(const std::shared_ptr<TrainerSession>& session,
                      const v1::EventRecord& record) {
  v1::Decision decision = record.decision();
  decision.set_seq(record.event().seq());
  decision.set_quiet_batches(0);
  google::protobuf::RepeatedPtrField<v1::Checkpoint> owed;
  for (v1::Checkpoint& save : *decision.mutable_saves()) {
    const std::string id = ParseCheckpointName(save.name())->id;
    if (state_.OpenSave(id) == nullptr) {
      TellIfEnded(session, id);
    } else if (!state_.Publishing(id)) {
      owed.Add(std::move(save));
    }
  }
  decision.mutable_saves()->Swap(&owed);
  SendDecision(session, std::move(decision));
}

void RunActor::Detach(std::shared_ptr<TrainerSession> session) {
  PostStrand([this, session = std::move(session)] {
    if (session != session_) return;
    spdlog::info("run {}: trainer {} disconnected", run_, state_.writer_epoch());
    DropSession();
    LeaveSnapshots();
    WatchOpenSaves();
    CloseWhenAnswered(session);
  });
}

// Answers pass through the index, and those with stages through the disk as well: a task that
// follows them on the same way arrives after them.
void RunActor::CloseWhenAnswered(std::shared_ptr<TrainerSession> session) {
  storage::RunUpdate nothing;
  nothing.run = run_;
  services_.index.Submit(
      lane_, std::move(nothing),
      [self = shared_from_this(),
       session = std::move(session)](absl::StatusOr<storage::ApplyResult> result) mutable {
        RunActor* actor = self.get();
        actor->PostStrand([actor, status = result.status(),
                           session = std::move(session)]() mutable {
          actor->PostDisk([actor, status, session = std::move(session)]() mutable {
            actor->PostStrand([status, session = std::move(session)] { session->Close(status); });
          });
        });
      });
}

void RunActor::Retire(absl::Status status, Task retired) {
  PostStrand([this, status = std::move(status), retired = std::move(retired)]() mutable {
    retired_ = status;
    self_.reset();
    FailCallers(status);
    if (session_ != nullptr) {
      LeaveSnapshots();
      session_->Close(status);
      DropSession();
    }
    retired();
  });
}

void RunActor::DropSession() {
  session_.reset();
  connected_ = false;
  services_.metrics.trainers.Add(-1);
}

void RunActor::Break(const absl::Status& status) {
  if (!broken_.ok()) return;
  spdlog::error("run {}: the index could not be written: {}", run_, MessageOf(status));
  broken_ = status;
  if (session_ != nullptr) {
    session_->Close(status);
    DropSession();
  }
  FailWaiters();
  snapshots_ = {};
  left_ = {};
  self_.reset();
  gone_(*this);
}

void RunActor::FailWaiters() {
  for (auto& [id, finishing] : std::exchange(finishing_, {})) {
    for (SaveDone& waiter : finishing.waiters) waiter(broken_);
  }
  FailCallers(broken_);
}

void RunActor::FailCallers(const absl::Status& why) {
  for (auto& [id, callers] : std::exchange(callers_, {})) {
    for (SaveDone& ended : callers) ended(why);
  }
}

// ---- Open saves whose trainer is gone.

void RunActor::WatchOpenSaves() {
  if (session_ != nullptr || !broken_.ok() || state_.OpenSaveIds().empty()) return;
  self_ = shared_from_this();
  services_.executors.PostAfter(services_.save_timeout, strand_,
                                [weak = weak_from_this(), generation = ++watch_generation_] {
                                  if (const auto actor = weak.lock())
                                    actor->GiveUpOpenSaves(generation);
                                });
}

void RunActor::GiveUpOpenSaves(uint64_t generation) {
  if (generation != watch_generation_ || session_ != nullptr) return;
  for (const std::string& id : state_.OpenSaveIds()) {
    if (state_.Publishing(id) || state_.Persisting(id)) continue;
    FailSave(id, MakeError(v1::ERROR_REASON_SAVE_ABANDONED,
                           "the trainer did not come back to upload this save"));
  }
  self_.reset();
}

// ---- Events.

void RunActor::TakeEvents(std::shared_ptr<TrainerSession> session,
                          std::shared_ptr<v1::EventBatch> batch, int64_t bytes, Task ready) {
  bytes = std::min(bytes, kMaxPendingEventBytes);
  const auto taking = std::make_shared<Taking>(std::move(session), std::move(batch));
  if (services_.event_budget.TryAcquire(bytes)) {
    taking->grant.emplace(services_.event_budget, bytes);
    const auto take = [&](bool may_look) {
      return
          [self = shared_from_this(), taking, may_look] { self->TakeEventsNow(taking, may_look); };
    };
    // On this thread if possible: to wake another one takes longer than to decide. What has to wait
    // looks at names at once, lest the rest of it comes after the next batch.
    if (!strand_.TryRun(take(false))) strand_.Post(take(true));
    return ready();
  }
  services_.event_budget.Acquire(
      bytes, [self = shared_from_this(), bytes, taking, ready = std::move(ready)]() mutable {
        taking->grant.emplace(self->services_.event_budget, bytes);
        self->strand_.Post([self, taking] { self->TakeEventsNow(taking, /*may_look=*/true); });
        ready();
      });
  services_.index.WriteSoon();  // it has what the budget waits for
}

void RunActor::TakeEventsNow(const std::shared_ptr<Taking>& taking, bool may_look) {
  if (taking->session != session_) return;  // fenced; its stream is ending
  const auto check_name = [this](std::string_view filepath) {
    return services_.store.CheckName(run_, filepath);
  };
  RunState::Taken taken = state_.Take(
      taking->intake, may_look ? std::optional<policy::NameCheck>(check_name) : std::nullopt,
      services_.clock.UnixNanos());
  services_.metrics.events.Add(static_cast<double>(taken.update.events.size()));
  const absl::Status status = taken.status;
  const bool look = taken.name_check_wanted;
  if (!look) taking->intake.batch = nullptr;
  if (!taken.update.events.empty() || !taken.update.new_metrics.empty()) {
    AnswerEvents(taking, std::move(taken));
  }
  if (!status.ok()) {
    PostStrand([this, session = taking->session, status] {
      spdlog::warn("run {}: {}", run_, MessageOf(status));
      session->Close(status);
    });
  } else if (look) {
    PostStrand([this, taking] { TakeEventsNow(taking, /*may_look=*/true); });
  }
}

void RunActor::AnswerEvents(const std::shared_ptr<Taking>& taking, RunState::Taken taken) {
  // SKIPs need not be durable: told again after a crash, they come out the same. SAVEs do.
  std::vector<v1::Decision> saves;
  for (v1::Decision& decision : taken.answers) {
    CountDecision(decision);
    if (decision.saves().empty()) {
      SendDecision(taking->session, std::move(decision));
    } else {
      saves.push_back(std::move(decision));
    }
  }
  if (!saves.empty() || !taken.stages.empty() || state_.trainer_ended()) {
    return AnswerSaves(taking, std::move(taken), std::move(saves));
  }
  services_.index.SubmitLater(
      lane_, std::move(taken.update),
      [self = shared_from_this(), taking, progress = progress_,
       seq = state_.last_seq()](const absl::StatusOr<storage::ApplyResult>& result) {
        RunActor* actor = self.get();
        if (!result.ok()) {
          return actor->PostStrand([actor, status = result.status()] { actor->Break(status); });
        }
        progress->durable_seq = seq;
        if (progress->on_its_way.exchange(true)) return;
        actor->PostStrand([session = taking->session, progress] {
          progress->on_its_way = false;
          session->Send(DurableUntil(progress->durable_seq));
        });
      });
}

void RunActor::AnswerSaves(const std::shared_ptr<Taking>& taking, RunState::Taken taken,
                           std::vector<v1::Decision> saves) {
  services_.index.Submit(
      lane_, std::move(taken.update),
      [self = shared_from_this(), taking, progress = progress_, seq = state_.last_seq(),
       saves = std::move(saves),
       stages = std::move(taken.stages)](absl::StatusOr<storage::ApplyResult> result) mutable {
        RunActor* actor = self.get();
        if (result.ok()) progress->durable_seq = seq;
        actor->PostStrand([actor, status = result.status(), session = taking->session, progress,
                           saves = std::move(saves), stages = std::move(stages)]() mutable {
          if (!status.ok()) return actor->Break(status);
          session->Send(DurableUntil(progress->durable_seq));
          Task send = [actor, session, saves = std::move(saves)]() mutable {
            for (v1::Decision& decision : saves) actor->SendDecision(session, std::move(decision));
          };
          if (stages.empty()) return send();
          const RunState::StageUse last = std::move(stages.back());
          stages.pop_back();
          for (const RunState::StageUse& use : stages) actor->UseStage(use, [] {});
          actor->UseStage(last, std::move(send));
        });
      });
}

void RunActor::CountDecision(const v1::Decision& decision) {
  for (const v1::PolicyDecision& policy : decision.policies()) {
    switch (policy.action()) {
      case v1::PolicyDecision::ACTION_SAVE:
        services_.metrics.decisions_save.Add();
        break;
      case v1::PolicyDecision::ACTION_ERROR:
        services_.metrics.decisions_error.Add();
        break;
      default:
        services_.metrics.decisions_skip.Add();
    }
  }
}

void RunActor::SendDecision(const std::shared_ptr<TrainerSession>& session, v1::Decision decision) {
  // Bytes that were staged have arrived: the trainer owes nothing for those saves.
  auto* saves = decision.mutable_saves();
  for (int i = saves->size() - 1; i >= 0; --i) {
    const std::string id = ParseCheckpointName(saves->Get(i).name())->id;
    if (state_.OpenSave(id) == nullptr || state_.Publishing(id)) saves->DeleteSubrange(i, 1);
  }
  v1::TrainResponse response;
  *response.mutable_decision() = std::move(decision);
  session->Send(std::move(response));
}

void RunActor::Abandon(std::shared_ptr<TrainerSession> session, v1::AbandonSave abandon) {
  PostStrand([this, session = std::move(session), abandon = std::move(abandon)] {
    const auto ref = ParseCheckpointName(abandon.save());
    if (session != session_ || !ref.ok() || ref->run != run_) return;
    if (state_.OpenSave(ref->id) == nullptr || state_.Publishing(ref->id)) return;
    if (state_.Persisting(ref->id)) return;
    FailSave(ref->id, MakeError(v1::ERROR_REASON_SAVE_ABANDONED,
                                "the trainer gave the save up: " + abandon.message()));
  });
}

}  // namespace ckpt::server
