#include "client/cpp/src/uploader.h"

#include <fmt/format.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <utility>

#include "client/cpp/src/hand_over.h"
#include "client/cpp/src/retry.h"
#include "client/cpp/src/rpc_status.h"
#include "storage/base/errors.h"

namespace ckpt::client {
namespace {

constexpr size_t kMaxFailuresKept = 64;
// A staged save may end before the thread of the events names it; other saves end without being
// asked.
constexpr size_t kMaxUnclaimed = 64;
constexpr std::chrono::seconds kLookupTimeout{30};
// How far the stream may be behind the answer to an upload.
constexpr std::chrono::milliseconds kToldWithin{30'000};
constexpr size_t kMaxAwaited = 1024;  // of Hello.awaited_saves

absl::Status StatusOf(const v1::SaveOutcome& outcome) {
  if (outcome.has_checkpoint()) return absl::OkStatus();
  return MakeError(outcome.reason(), outcome.message());
}

std::string Label(const v1::Checkpoint& save) {
  if (save.placements().empty()) return save.name();
  return fmt::format("{} ({})", save.name(), save.placements(0).filepath());
}

}  // namespace

// A call that can be cancelled from outside while it lasts; `cancel` is called under the lock.
class Uploader::CallScope {
 public:
  CallScope(Uploader& uploader, Save* save, std::function<void()> cancel)
      : uploader_(uploader), cancel_(std::move(cancel)) {
    std::lock_guard lock(uploader_.mutex_);
    uploader_.calls_.emplace(this, save);
    const bool failed = save != nullptr && save->outcome && !save->outcome->has_checkpoint();
    if (uploader_.stopping_ || failed) cancel_();
  }
  ~CallScope() {
    std::lock_guard lock(uploader_.mutex_);
    uploader_.calls_.erase(this);
  }
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

  void Cancel() { cancel_(); }

 private:
  Uploader& uploader_;
  const std::function<void()> cancel_;
};

Uploader::Uploader(HandOver& hand_over, v1::CatalogService::Stub& catalog, UploaderOptions options)
    : hand_over_(hand_over), catalog_(catalog), options_(std::move(options)) {}

Uploader::~Uploader() { Stop(); }

void Uploader::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto& [call, save] : calls_) call->Cancel();
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

// ---- The side of the events.

bool Uploader::HasSlot() {
  std::lock_guard lock(mutex_);
  return SlotIsFree();
}

void Uploader::AwaitSlot() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return SlotIsFree() || stopping_ || !lost_.ok(); });
}

// One snapshot more than are kept may be held: the newest one, while the daemon drops another.
bool Uploader::SlotIsFree() const {
  size_t kept = 1;
  for (const auto& [policy, snapshots] : kept_) kept += snapshots;
  return on_their_way_ < options_.max_uploads && held_ <= kept;
}

void Uploader::Upload(const std::string& save, std::vector<PartBytes> parts) {
  std::shared_ptr<Save> owed;  // ends on this thread, or on its way
  {
    std::lock_guard lock(mutex_);
    const auto found = saves_.find(save);
    if (found == saves_.end()) return;
    owed = found->second;
  }
  v1::UploadStart start;
  start.set_save(save);
  auto senders = owed->snapshot ? hand_over_.Share(start, std::move(parts))
                                : hand_over_.Take(start, std::move(parts));
  std::lock_guard lock(mutex_);
  owed->parts = std::move(senders);
  PutOnItsWay(std::move(owed));
}

void Uploader::AwaitStaged(const std::string& save) {
  std::lock_guard lock(mutex_);
  auto& awaited = saves_[save];
  if (awaited == nullptr) {
    awaited = std::make_shared<Save>(Save{.name = save, .label = save});
  }
  const auto told = std::find_if(unclaimed_.begin(), unclaimed_.end(),
                                 [&](const auto& outcome) { return outcome.save() == save; });
  if (told != unclaimed_.end()) {
    awaited->outcome = std::move(*told);
    unclaimed_.erase(told);
  }
  PutOnItsWay(awaited);
}

void Uploader::PutOnItsWay(std::shared_ptr<Save> save) {
  queue_.push_back(std::move(save));
  ++on_their_way_;
  if (threads_.size() < std::min(on_their_way_, options_.max_uploads)) {
    threads_.emplace_back([this] { Work(); });
  }
  changed_.notify_all();
}

void Uploader::GiveUp(const std::string& save, const absl::Status& why) {
  std::shared_ptr<Save> given_up;
  {
    std::lock_guard lock(mutex_);
    const auto found = saves_.find(save);
    if (found == saves_.end()) return;
    given_up = found->second;
    ++on_their_way_;
  }
  End(*given_up, why);
}

void Uploader::Skip(const std::string& save, const std::string& why) {
  {
    std::lock_guard lock(mutex_);
    if (saves_.erase(save) == 0) return;
  }
  options_.abandon(save, why);
}

absl::Status Uploader::Stage(const v1::StagedTarget& target, std::vector<PartBytes> parts) {
  v1::UploadStart start;
  *start.mutable_staged() = target;
  return UploadParts(hand_over_.Take(start, std::move(parts)), nullptr).status();
}

absl::Status Uploader::AwaitIdle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return on_their_way_ == 0; });
  const std::vector<absl::Status> failures = std::exchange(failures_, {});
  const size_t more = std::exchange(more_failures_, 0);
  if (failures.empty()) return absl::OkStatus();
  if (failures.size() == 1) return failures.front();
  std::string all;
  for (const absl::Status& failure : failures) all += fmt::format("; {}", MessageOf(failure));
  if (more > 0) all += fmt::format("; and {} more", more);
  absl::Status summary(failures.front().code(),
                       fmt::format("{} saves failed{}", failures.size() + more, all));
  failures.front().ForEachPayload(
      [&](absl::string_view url, const absl::Cord& payload) { summary.SetPayload(url, payload); });
  return summary;
}

// ---- The side of the session.

void Uploader::OnDecided(const v1::Checkpoint& save) {
  auto owed = std::make_shared<Save>();
  owed->name = save.name();
  owed->label = Label(save);
  std::lock_guard lock(mutex_);
  for (const v1::Placement& placement : save.placements()) {
    if (placement.options().placement() != v1::StorageOptions::PLACEMENT_MEMORY) continue;
    owed->snapshot = true;
    kept_[placement.policy()] = static_cast<size_t>(std::max(1, placement.options().snapshots()));
  }
  saves_.emplace(save.name(), std::move(owed));
}

bool Uploader::Owes(const std::string& save) {
  std::lock_guard lock(mutex_);
  return saves_.contains(save);
}

void Uploader::OnOutcome(const v1::SaveOutcome& outcome) {
  std::lock_guard lock(mutex_);
  const auto found = saves_.find(outcome.save());
  if (found == saves_.end()) {
    unclaimed_.push_back(outcome);
    if (unclaimed_.size() > kMaxUnclaimed) unclaimed_.pop_front();
    return;
  }
  found->second->outcome = outcome;
  if (found->second->held) return EndHeld(found->second);
  if (!outcome.has_checkpoint()) {
    for (auto& [call, save] : calls_) {
      if (save == found->second.get()) call->Cancel();
    }
  }
  changed_.notify_all();
}

// Its slots are free for the next one.
void Uploader::EndHeld(const std::shared_ptr<Save>& save) {
  const auto ended = saves_.extract(save->name);  // `save` may have been in it
  --held_;
  Remember(*ended.mapped(), StatusOf(*ended.mapped()->outcome));
  changed_.notify_all();
}

void Uploader::OnWelcomed(const std::vector<std::string>& open) {
  std::lock_guard lock(mutex_);
  for (const auto& [name, save] : saves_) {
    if (!save->held || std::find(open.begin(), open.end(), name) == open.end()) continue;
    save->held = false;
    --held_;
    PutOnItsWay(save);
  }
}

std::vector<std::string> Uploader::Awaited() {
  std::lock_guard lock(mutex_);
  std::vector<std::string> awaited;
  for (const auto& [name, save] : saves_) {
    if (!save->outcome.has_value() && awaited.size() < kMaxAwaited) awaited.push_back(name);
  }
  return awaited;
}

void Uploader::OnLost(const absl::Status& why) {
  std::lock_guard lock(mutex_);
  lost_ = why;
  changed_.notify_all();
}

// ---- The uploads' threads.

void Uploader::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const std::shared_ptr<Save> save = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const absl::StatusOr<bool> ended = Deliver(*save);
    if (ended.ok() && !*ended) {
      Hold(save);
    } else {
      End(*save, ended.status());
    }
    lock.lock();
  }
}

void Uploader::End(Save& save, const absl::Status& status) {
  bool tell_daemon = false;
  {
    std::lock_guard lock(mutex_);
    if (!status.ok()) {
      tell_daemon = !stopping_ && lost_.ok() && !save.outcome.has_value() &&
                    ReasonOf(status) != v1::ERROR_REASON_SAVE_NOT_OPEN;
      Remember(save, status);
    }
  }
  if (tell_daemon) options_.abandon(save.name, std::string(MessageOf(status)));
  std::lock_guard lock(mutex_);
  --on_their_way_;
  saves_.erase(std::string(save.name));
  changed_.notify_all();
}

void Uploader::Remember(const Save& save, const absl::Status& failure) {
  // A daemon that was away when it dropped a snapshot knows only that it is gone.
  const v1::ErrorReason reason = ReasonOf(failure);
  const bool dropped = reason == v1::ERROR_REASON_SNAPSHOT_DROPPED ||
                       (save.snapshot && reason == v1::ERROR_REASON_SAVE_NOT_OPEN);
  if (failure.ok() || dropped) return;
  if (failures_.size() < kMaxFailuresKept) {
    failures_.push_back(Annotate(failure, fmt::format("save {}", save.label)));
  } else {
    ++more_failures_;
  }
}

void Uploader::Hold(const std::shared_ptr<Save>& save) {
  std::lock_guard lock(mutex_);
  --on_their_way_;
  ++held_;
  save->held = true;
  if (save->outcome.has_value()) return EndHeld(save);
  changed_.notify_all();
}

absl::StatusOr<bool> Uploader::Deliver(Save& save) {
  if (!save.parts.empty()) {
    const absl::StatusOr<bool> committed = UploadParts(save.parts, &save);
    if (!committed.ok()) {
      const absl::Status ended = EndOf(save, committed.status());
      if (!ended.ok()) return ended;
      return true;
    }
    if (*committed) return true;
    if (save.snapshot) return false;
  }
  const absl::Status outcome = AwaitOutcome(save);
  if (!outcome.ok()) return outcome;
  return true;
}

absl::Status Uploader::EndOf(Save& save, const absl::Status& failure) {
  std::unique_lock lock(mutex_);
  // It has ended otherwise, or another trainer has the run: the stream tells, perhaps a bit later.
  if (ReasonOf(failure) == v1::ERROR_REASON_SAVE_NOT_OPEN) {
    changed_.wait_for(lock, std::min(options_.patience, kToldWithin),
                      [&] { return Told(save) || !lost_.ok(); });
    if (!Told(save) && !lost_.ok()) return lost_;
  }
  return save.outcome.has_value() ? StatusOf(*save.outcome) : failure;
}

absl::Status Uploader::AwaitOutcome(Save& save) {
  std::unique_lock lock(mutex_);
  // A daemon that tells nothing for long may be gone for good: that ends the wait, slowness does
  // not.
  while (!Told(save)) {
    changed_.wait_for(lock, options_.patience, [&] { return Told(save) || !lost_.ok(); });
    if (Told(save)) break;
    lock.unlock();
    absl::Status found = LookUp(save);
    if (!absl::IsNotFound(found)) return found;
    lock.lock();
    if (!Told(save) && !lost_.ok()) return lost_;
  }
  if (save.outcome.has_value()) return StatusOf(*save.outcome);
  return absl::CancelledError("the run was closed");
}

absl::Status Uploader::LookUp(const Save& save) {
  Retry retry(options_.patience);
  while (true) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kLookupTimeout);
    const CallScope call(*this, nullptr, [&context] { context.TryCancel(); });
    v1::GetCheckpointRequest request;
    request.set_name(save.name);
    v1::Checkpoint checkpoint;
    absl::Status found =
        FromGrpc(catalog_.GetCheckpoint(&context, request, &checkpoint), options_.server);
    if (found.ok()) return found;  // only committed checkpoints are found
    const auto pause = retry.After(found, false);
    if (!pause.has_value() || !Pause(*pause)) return found;
  }
}

absl::StatusOr<bool> Uploader::UploadParts(const std::vector<std::unique_ptr<PartSender>>& parts,
                                           Save* save) {
  bool committed = false;
  for (const std::unique_ptr<PartSender>& part : parts) {
    absl::StatusOr<v1::UploadFinished> finished = UploadPart(*part, save);
    if (!finished.ok()) return finished.status();
    committed = finished->checkpoint().state() == v1::Checkpoint::STATE_COMMITTED;
  }
  return committed;
}

absl::StatusOr<v1::UploadFinished> Uploader::UploadPart(PartSender& part, Save* save) {
  Retry retry(options_.patience);
  while (true) {
    absl::StatusOr<v1::UploadFinished> finished;
    {
      const CallScope call(*this, save, [&part] { part.Cancel(); });
      finished = part.Attempt();
    }
    if (finished.ok()) return finished;
    {
      std::lock_guard lock(mutex_);
      if (stopping_ || (save != nullptr && save->outcome.has_value())) return finished;
    }
    const auto pause = retry.After(finished.status(), part.TakeProgress());
    if (!pause.has_value() || !Pause(*pause)) return finished;
  }
}

bool Uploader::Pause(std::chrono::milliseconds pause) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, pause, [this] { return stopping_; });
}

}  // namespace ckpt::client
