// RunActor's saves: from the last part's arrival to the committed checkpoint, and deletion. The
// steps are those of storage/checkpoint_store.h.

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "server/run/limits.h"
#include "server/run/run_actor.h"
#include "server/run/run_actor_post.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::server {
namespace {

// Whether some policy wants the answer to wait for the name as well.
bool AnswerWhenVisible(const v1::Checkpoint& checkpoint) {
  for (const v1::Placement& placement : checkpoint.placements()) {
    if (placement.options().acknowledge() != v1::StorageOptions::ACKNOWLEDGE_DURABLE) return true;
  }
  return false;
}

// A checkpoint that was committed and exists no more.
v1::Checkpoint CommittedOnce(std::string name) {
  v1::Checkpoint checkpoint;
  checkpoint.set_name(std::move(name));
  checkpoint.set_state(v1::Checkpoint::STATE_COMMITTED);
  return checkpoint;
}

v1::TrainResponse OutcomeOf(std::string save, const absl::StatusOr<v1::Checkpoint>& outcome) {
  v1::TrainResponse response;
  v1::SaveOutcome& message = *response.mutable_outcome();
  message.set_save(std::move(save));
  if (outcome.ok()) {
    *message.mutable_checkpoint() = *outcome;
  } else {
    message.set_reason(ReasonOf(outcome.status()));
    message.set_message(std::string(MessageOf(outcome.status())));
  }
  return response;
}

// As text in a filter or an order.
std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  return quoted + '"';
}

}  // namespace

void RunActor::OpenUpload(std::string id, SaveDone done) {
  PostStrand([this, id = std::move(id), done = std::move(done)]() mutable {
    if (!broken_.ok()) return done(broken_);
    if (const v1::Checkpoint* save = state_.OpenSave(id)) return done(*save);
    if (const auto ending = finishing_.find(id); ending != finishing_.end()) {
      return ending->second.waiters.push_back(std::move(done));
    }
    const bool was_committed = state_.WasCommitted(id);
    PostDisk([this, id = std::move(id), was_committed, done = std::move(done)]() mutable {
      auto checkpoint = services_.store.GetCheckpoint(run_, id);
      if (ReasonOf(checkpoint.status()) == v1::ERROR_REASON_CHECKPOINT_NOT_FOUND) {
        checkpoint = was_committed
                         ? absl::StatusOr<v1::Checkpoint>(CommittedOnce(CheckpointName(run_, id)))
                         : SaveNotOpen(CheckpointName(run_, id), "it failed, or was never decided");
      }
      done(std::move(checkpoint));
    });
  });
}

void RunActor::FinishPart(std::string id, SaveDone done) {
  PostStrand([this, id = std::move(id), done = std::move(done)]() mutable {
    if (!broken_.ok()) return done(broken_);
    if (state_.OpenSave(id) == nullptr) return OpenUpload(std::move(id), std::move(done));
    Finishing& finishing = finishing_[id];
    finishing.waiters.push_back(std::move(done));
    if (!finishing.timing.has_value()) finishing.timing = services_.metrics.commit_seconds.Start();
    Complete(std::move(id));
  });
}

void RunActor::SaveNow(SaveDone decided, SaveDone ended) {
  PostStrand([this, decided = std::move(decided), ended = std::move(ended)]() mutable {
    SaveNowOnStrand(std::move(decided), std::move(ended));
  });
}

// The newest snapshot, which is on its way to the disk when this returns; without a name if there
// is none.
v1::Checkpoint RunActor::SnapshotToSave() {
  const std::string newest = snapshots_.Newest();
  if (newest.empty()) {
    const v1::Checkpoint* persisting = state_.OpenPersisting();
    return persisting == nullptr ? v1::Checkpoint() : *persisting;
  }
  v1::Checkpoint save = *state_.OpenSave(newest);
  Persist(newest);
  return save;
}

// Whoever asks while a save that was asked for is on its way gets the same one.
void RunActor::SaveNowOnStrand(SaveDone decided, SaveDone ended) {
  if (!broken_.ok()) return decided(broken_);
  size_t waiting = 0;
  for (const auto& [id, callers] : callers_) waiting += callers.size();
  if (waiting >= kMaxSaveCallers) {
    return decided(
        LimitExceeded("callers that wait for a save of one run", kMaxSaveCallers, waiting + 1));
  }
  if (v1::Checkpoint snapshot = SnapshotToSave(); !snapshot.name().empty()) {
    callers_[ParseCheckpointName(snapshot.name())->id].push_back(std::move(ended));
    return decided(std::move(snapshot));
  }
  if (session_ == nullptr || state_.trainer_ended()) return decided(NoTrainer(run_));
  storage::RunUpdate update;
  update.run = run_;
  v1::Decision decision;
  if (const v1::Checkpoint* open = state_.OpenOnDemand()) {
    *decision.add_saves() = *open;
  } else {
    auto opened = state_.SaveOnDemand(
        [this](std::string_view filepath) { return services_.store.CheckName(run_, filepath); },
        services_.clock.UnixNanos());
    if (!opened.ok()) return decided(opened.status());
    update = std::move(opened->update);
    decision = std::move(opened->decision);
  }
  const bool is_new = !update.opened_saves.empty();
  v1::Checkpoint save = decision.saves(0);
  callers_[ParseCheckpointName(save.name())->id].push_back(std::move(ended));
  services_.index.Submit(
      lane_, std::move(update),
      [self = shared_from_this(), session = session_, save = std::move(save), is_new,
       decision = std::move(decision),
       decided = std::move(decided)](absl::StatusOr<storage::ApplyResult> result) mutable {
        RunActor* actor = self.get();
        actor->PostStrand([actor, status = result.status(), session = std::move(session),
                           save = std::move(save), is_new, decision = std::move(decision),
                           decided = std::move(decided)]() mutable {
          if (!status.ok()) {
            decided(status);
            return actor->Break(status);
          }
          if (is_new) actor->SendDecision(session, std::move(decision));
          decided(std::move(save));
        });
      });
}

// Parts that were staged become those of the save, or are thrown away. `then` runs on the strand.
void RunActor::UseStage(const RunState::StageUse& use, Task then) {
  PostDisk([this, use, then = std::move(then)]() mutable {
    absl::Status status = use.save.empty()
                              ? services_.store.Discard(run_, "", use.stage_id)
                              : services_.store.AdoptStage(run_, use.stage_id, use.save);
    if (!status.ok()) {
      spdlog::warn("run {}: stage {}: {}", run_, use.stage_id, MessageOf(status));
    }
    PostStrand([this, adopted = status.ok() ? use.save : "", then = std::move(then)]() mutable {
      if (!adopted.empty() && state_.OpenSave(adopted) != nullptr) {
        finishing_[adopted].timing = services_.metrics.commit_seconds.Start();
        Complete(adopted);
      }
      then();
    });
  });
}

// Publishes the save if all its parts are there (steps 3 and 4).
void RunActor::Complete(std::string id) {
  const v1::Checkpoint* save = state_.OpenSave(id);
  if (save == nullptr) return;  // its waiters hear of it
  if (state_.Publishing(id)) {
    finishing_[id].more = true;
    return;
  }
  state_.SetPublishing(id, true);
  PostDisk([this, id = std::move(id), save = *save] {
    auto parts = services_.store.CompleteParts(run_, id, "", /*world_size=*/1);
    if (parts.ok() && !parts->has_value()) {
      PostStrand([this, id] { Incomplete(id); });
      return;
    }
    absl::StatusOr<v1::Checkpoint> published =
        parts.ok() ? services_.store.Publish(save) : parts.status();
    PostStrand([this, id, published = std::move(published)]() mutable {
      Published(id, std::move(published));
    });
  });
}

void RunActor::Incomplete(const std::string& id) {
  state_.SetPublishing(id, false);
  const v1::Checkpoint* save = state_.OpenSave(id);
  if (save == nullptr) return;
  if (std::exchange(finishing_[id].more, false)) return Complete(id);
  for (SaveDone& waiter : std::exchange(finishing_[id].waiters, {})) waiter(*save);
  finishing_.erase(id);
}

void RunActor::Published(const std::string& id, absl::StatusOr<v1::Checkpoint> checkpoint) {
  if (!broken_.ok()) return;
  if (!checkpoint.ok()) return FailSave(id, checkpoint.status());
  CommitPublished(*std::move(checkpoint));
}

// Step 5.
void RunActor::CommitPublished(v1::Checkpoint checkpoint) {
  finishing_.try_emplace(ParseCheckpointName(checkpoint.name())->id);
  storage::RunUpdate update = state_.Commit(checkpoint);
  services_.index.Submit(
      lane_, std::move(update),
      [self = shared_from_this(),
       checkpoint = std::move(checkpoint)](absl::StatusOr<storage::ApplyResult> result) mutable {
        RunActor* actor = self.get();
        if (!result.ok()) {
          actor->PostStrand([actor, status = result.status()] { actor->Break(status); });
          return;
        }
        actor->ProjectAndEvict(std::move(checkpoint), *result);
      });
}

// Steps 6 to 8.
void RunActor::ProjectAndEvict(v1::Checkpoint checkpoint, const storage::ApplyResult& result) {
  PostDisk([this, checkpoint = std::move(checkpoint), evictions = result.evictions]() mutable {
    const std::string id = ParseCheckpointName(checkpoint.name())->id;
    const bool when_visible = AnswerWhenVisible(checkpoint);
    const auto answer = [this, id](v1::Checkpoint committed) {
      committed.clear_policy_states();
      PostStrand([this, id, committed = std::move(committed)] { EndSave(id, committed); });
    };
    if (!when_visible) answer(checkpoint);
    auto projected = services_.store.Project(checkpoint);
    if (!projected.ok()) {
      spdlog::error("run {}: checkpoint {} is stored, but has no name yet: {}", run_, id,
                    MessageOf(projected.status()));
    }
    if (!projected.ok()) {
      for (v1::Placement& placement : *checkpoint.mutable_placements()) {
        placement.set_projection_error(std::string(MessageOf(projected.status())));
      }
    }
    if (when_visible) answer(projected.ok() ? *std::move(projected) : std::move(checkpoint));
    for (const v1::Eviction& eviction : evictions) {
      if (absl::Status status = services_.store.Evict(eviction); !status.ok()) {
        spdlog::error("{}: could not be removed, the next start tries again: {}",
                      eviction.checkpoint().name(), MessageOf(status));
      }
    }
  });
}

void RunActor::FailSave(const std::string& id, const absl::Status& why) {
  if (state_.OpenSave(id) == nullptr) return;
  finishing_.try_emplace(id);
  services_.index.Submit(
      lane_, state_.Fail(id),
      [self = shared_from_this(), id, why](absl::StatusOr<storage::ApplyResult> result) {
        RunActor* actor = self.get();
        actor->PostStrand([actor, id, why, status = result.status()] {
          if (!status.ok()) return actor->Break(status);
          actor->EndSave(id, why);
        });
      });
}

// Tells everybody how a save ended. The index knows already.
void RunActor::EndSave(const std::string& id, absl::StatusOr<v1::Checkpoint> outcome) {
  TakeSnapshot(id);
  const bool dropped = ReasonOf(outcome.status()) == v1::ERROR_REASON_SNAPSHOT_DROPPED;
  if (outcome.ok()) {
    for (const std::string& older : left_.OlderThan(*outcome)) DropSnapshot(older);
    services_.metrics.saves_committed.Add();
    spdlog::info("run {}: checkpoint {} committed, {} bytes", run_, id, outcome->size());
  } else if (!dropped) {
    services_.metrics.saves_failed.Add();
    spdlog::warn("run {}: save {} failed: {}", run_, id, MessageOf(outcome.status()));
    PostDisk([this, id] {
      if (absl::Status status = services_.store.Discard(run_, id, ""); !status.ok()) {
        spdlog::warn("run {}: bytes of save {} stay: {}", run_, id, MessageOf(status));
      }
    });
  }
  TellTrainer(OutcomeOf(CheckpointName(run_, id), outcome));
  if (auto callers = callers_.extract(id); !callers.empty()) {
    for (SaveDone& ended : callers.mapped()) ended(outcome);
  }
  const auto found = finishing_.find(id);
  if (found == finishing_.end()) return;
  Finishing finishing = std::move(found->second);
  finishing_.erase(found);
  if (finishing.timing.has_value() && outcome.ok()) finishing.timing->Stop();
  for (SaveDone& waiter : finishing.waiters) waiter(outcome);
}

// A stream that broke may have taken the outcome with it, so a trainer that is back is told again.
// Saves that are open or ending are told when they have ended.
void RunActor::TellIfEnded(std::shared_ptr<TrainerSession> session, const std::string& id) {
  if (finishing_.contains(id)) return;
  OpenUpload(id, [save = CheckpointName(run_, id),
                  session = std::move(session)](absl::StatusOr<v1::Checkpoint> found) {
    if (found.ok() && found->state() == v1::Checkpoint::STATE_SAVING) return;
    if (!found.ok() && ReasonOf(found.status()) != v1::ERROR_REASON_SAVE_NOT_OPEN) {
      return session->Close(found.status());
    }
    session->Send(OutcomeOf(save, found));
  });
}

// The first message of a session is its Welcome, which passes through the index.
void RunActor::TellTrainer(v1::TrainResponse response) {
  if (session_ == nullptr) return;
  if (!welcomed_) return untold_.push_back(std::move(response));
  session_->Send(std::move(response));
}

// ---- Deletion, and loss of rank.

// What takes the place of checkpoint `id` under each policy: pairs of policy and order.
absl::StatusOr<RunActor::Bests> RunActor::NextBests(
    std::string_view id, const std::vector<std::pair<std::string, std::string>>& orders) const {
  Bests bests;
  for (const auto& [policy, order_by] : orders) {
    storage::CheckpointQuery query{.run = run_,
                                   .page_size = 2,
                                   .filter = fmt::format("policy = \"{}\"", policy),
                                   .order_by = order_by};
    do {
      auto page = services_.store.ListCheckpoints(query);
      if (!page.ok()) return page.status();
      for (v1::Checkpoint& checkpoint : page->checkpoints) {
        const bool is_leaving = ParseCheckpointName(checkpoint.name())->id == id;
        if (is_leaving || !checkpoint.damage().empty() || bests.contains(policy)) continue;
        bests[policy] = std::move(checkpoint);
      }
      query.page_token = std::move(page->next_page_token);
    } while (!query.page_token.empty() && !bests.contains(policy));
  }
  return bests;
}

void RunActor::DeleteCheckpoint(std::string id, Done done) {
  AddDeparture({std::move(id), /*deleted=*/true, std::move(done)});
}

void RunActor::PassOver(std::string id, Done done) {
  AddDeparture({std::move(id), /*deleted=*/false, std::move(done)});
}

// One at a time: the next best is looked up in the index, where the one before must have come.
void RunActor::AddDeparture(Departure departure) {
  PostStrand([this, departure = std::move(departure)]() mutable {
    departures_.push_back(std::move(departure));
    if (departures_.size() == 1) NextDeparture();
  });
}

void RunActor::NextDeparture() {
  Departure departure = std::move(departures_.front());
  departure.done = [this, done = std::move(departure.done)](absl::Status status) mutable {
    done(std::move(status));
    PostStrand([this] {
      departures_.pop_front();
      if (!departures_.empty()) NextDeparture();
    });
  };
  if (!broken_.ok()) return departure.done(broken_);
  std::vector<std::pair<std::string, std::string>> orders;
  for (const policy::Policy* policy : state_.PoliciesWithBest(departure.id)) {
    orders.emplace_back(
        policy->spec().name(),
        fmt::format("metrics.{}{}", Quoted(policy->monitor()), policy->maximize() ? " desc" : ""));
  }
  PostDisk([this, departure = std::move(departure), orders = std::move(orders)]() mutable {
    if (auto checkpoint = services_.store.GetCheckpoint(run_, departure.id); !checkpoint.ok()) {
      return departure.done(checkpoint.status());
    }
    auto next_best = NextBests(departure.id, orders);
    if (!next_best.ok()) return departure.done(next_best.status());
    PostStrand(
        [this, departure = std::move(departure), next_best = *std::move(next_best)]() mutable {
          Depart(std::move(departure), next_best);
        });
  });
}

void RunActor::Depart(Departure departure, const Bests& next_best) {
  if (!broken_.ok()) return departure.done(broken_);
  storage::RunUpdate update = departure.deleted ? state_.Delete(departure.id, next_best)
                                                : state_.PassOver(departure.id, next_best);
  services_.index.Submit(
      lane_, std::move(update),
      [self = shared_from_this(),
       done = std::move(departure.done)](absl::StatusOr<storage::ApplyResult> result) mutable {
        RunActor* actor = self.get();
        if (!result.ok()) {
          actor->PostStrand([actor, status = result.status()] { actor->Break(status); });
          return done(result.status());
        }
        actor->PostDisk(
            [actor, evictions = std::move(result->evictions), done = std::move(done)]() mutable {
              absl::Status status;
              for (const v1::Eviction& eviction : evictions) {
                status.Update(actor->services_.store.Evict(eviction));
              }
              done(status);
            });
      });
}

void RunActor::DeleteRun(Done done) {
  PostStrand([this, done = std::move(done)]() mutable {
    if (!broken_.ok()) return done(broken_);
    if (session_ != nullptr) return done(RunInUse(run_));
    broken_ = RunNotFound(run_);
    FailWaiters();
    snapshots_ = {};
    left_ = {};
    self_.reset();
    services_.index.SubmitDeleteRun(
        run_, [self = shared_from_this(), saves = state_.OpenSaveIds(),
               done = std::move(done)](absl::StatusOr<storage::ApplyResult> result) mutable {
          RunActor* actor = self.get();
          actor->PostDisk([actor, result = std::move(result), saves = std::move(saves),
                           done = std::move(done)]() mutable {
            absl::Status status = result.status();
            if (status.ok()) {
              for (const std::string& id : saves) {
                status.Update(actor->services_.store.Discard(actor->run_, id, ""));
              }
              for (const v1::Eviction& eviction : result->evictions) {
                status.Update(actor->services_.store.Evict(eviction));
              }
              status.Update(actor->services_.store.RemoveRunFolder(actor->run_));
            }
            // Only now may the run's name be used again: its old files are gone.
            actor->gone_(*actor);
            done(status);
          });
        });
  });
}

}  // namespace ckpt::server
