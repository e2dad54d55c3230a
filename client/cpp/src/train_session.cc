#include "client/cpp/src/train_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/cpp/src/backoff.h"
#include "client/cpp/src/rpc_status.h"
#include "storage/base/errors.h"

namespace ckpt::client {
namespace {

using Clock = std::chrono::steady_clock;

// Everything is durable when a stream is closed; the daemon's goodbye is only waited for so long.
constexpr std::chrono::seconds kGoodbye{5};

// Limits of a daemon that does not state them.
v1::Limits WithDefaults(v1::Limits limits) {
  if (limits.max_events_per_batch() <= 0) limits.set_max_events_per_batch(4096);
  if (limits.max_metrics_per_event() <= 0) limits.set_max_metrics_per_event(1024);
  if (limits.max_metric_name_bytes() <= 0) limits.set_max_metric_name_bytes(256);
  return limits;
}

}  // namespace

TrainSession::TrainSession(v1::TrainingService::Stub& stub, SessionOptions options,
                           SaveListener& saves)
    : stub_(stub), options_(std::move(options)), saves_(saves) {
  thread_ = std::thread([this] { KeepConnected(); });
}

TrainSession::~TrainSession() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    if (stream_ != nullptr) stream_->Cancel();
    changed_.notify_all();
  }
  thread_.join();
}

// ---- The caller's side.

absl::Status TrainSession::AwaitWelcome() {
  std::unique_lock lock(mutex_);
  return Wait(lock, [this] { return welcome_.has_value(); });
}

v1::Welcome TrainSession::welcome() const {
  std::lock_guard lock(mutex_);
  return welcome_.value_or(v1::Welcome());
}

absl::StatusOr<v1::Decision> TrainSession::Report(v1::Event event, Logs logs, Ask ask) {
  std::unique_lock lock(mutex_);
  const auto has_room = [this] { return log_.pending().size() < options_.max_buffered_events; };
  if (absl::Status status = Usable(); !status.ok()) return status;
  if (absl::Status status = Wait(lock, has_room); !status.ok()) return status;
  if (absl::Status status = log_.dictionary().Encode(logs, welcome_->limits(), &event);
      !status.ok()) {
    return status;
  }
  const bool maybe = event.kind() == v1::Event::KIND_BATCH_END && quiet_.Count(event.batch());
  const bool due = ask == Ask::kAlways || (ask == Ask::kIfDue && maybe);
  event.set_wants_decision(due);
  const uint64_t seq = log_.Append(std::move(event));
  if (due) awaited_seq_ = seq;
  Send();
  if (!due) return v1::Decision();

  const absl::Status status = Wait(lock, [this] { return answer_.has_value(); });
  awaited_seq_ = 0;
  if (!status.ok()) return status;
  return *std::exchange(answer_, std::nullopt);
}

std::vector<v1::Decision> TrainSession::TakeUnasked() {
  std::lock_guard lock(mutex_);
  return std::exchange(unasked_, {});
}

void TrainSession::Abandon(const std::string& save, const std::string& why) {
  constexpr size_t kLongestMessage = 1024;
  std::lock_guard lock(mutex_);
  v1::AbandonSave& abandon = abandons_.emplace_back();
  abandon.set_save(save);
  abandon.set_message(why.substr(0, kLongestMessage));
  Send();
}

absl::Status TrainSession::AwaitDurable() {
  std::unique_lock lock(mutex_);
  if (absl::Status status = Usable(); !status.ok()) return status;
  const uint64_t last = log_.last_seq();
  return Wait(lock, [this, last] { return log_.durable_seq() >= last; });
}

void TrainSession::Close() {
  std::unique_lock lock(mutex_);
  closing_ = true;
  Send();
  changed_.notify_all();
  changed_.wait_for(lock, kGoodbye, [this] { return ended_; });
}

absl::Status TrainSession::Usable() const {
  return closing_ ? absl::FailedPreconditionError("the run is closed") : failure_;
}

absl::Status TrainSession::Wait(std::unique_lock<std::mutex>& lock,
                                const std::function<bool()>& done) {
  while (!done()) {
    if (!failure_.ok()) return failure_;
    if (link_ == Link::kUp) {
      changed_.wait(lock);
    } else if (Clock::now() < lost_since_ + options_.reconnect_timeout) {
      changed_.wait_until(lock, lost_since_ + options_.reconnect_timeout);
    } else if (last_error_.ok()) {
      return absl::UnavailableError(fmt::format("no answer from ckptd at {}", options_.server));
    } else {
      return last_error_;
    }
  }
  return absl::OkStatus();
}

void TrainSession::Send() {
  if (link_ != Link::kUp || writing_) return;
  v1::TrainRequest request;
  if (!abandons_.empty()) {
    *request.mutable_abandon() = std::move(abandons_.back());
    abandons_.pop_back();
  } else if (!log_.TakeBatch(welcome_->limits(), request.mutable_events())) {
    if (closing_ && !half_closed_) {
      half_closed_ = true;
      stream_->WritesDone();
    }
    return;
  }
  writing_ = true;
  stream_->Write(request);
}

// ---- The session's thread.

void TrainSession::KeepConnected() {
  Backoff backoff;
  std::unique_lock lock(mutex_);
  while (!stopping_ && failure_.ok() && !closing_) {
    lock.unlock();
    const absl::Status error = RunStream();
    lock.lock();
    if (stopping_ || closing_ || !failure_.ok()) break;
    if (!IsTransient(error)) {
      failure_ = error;
      break;
    }
    const bool was_up = last_error_.ok();
    if (was_up) backoff.Reset();
    last_error_ = error;
    lock.unlock();
    if (!std::exchange(lost_announced_, true)) {
      Notify(fmt::format("{}. Trying again; events are kept meanwhile", MessageOf(error)));
    }
    lock.lock();
    changed_.notify_all();
    const auto next = Clock::now() + backoff.Next(error);
    while (!stopping_ && !closing_ &&
           changed_.wait_until(lock, next) == std::cv_status::no_timeout) {
    }
  }
  const absl::Status why = failure_.ok() ? absl::CancelledError("the run was closed") : failure_;
  lock.unlock();
  saves_.OnLost(why);
  lock.lock();
  ended_ = true;
  changed_.notify_all();
}

absl::Status TrainSession::RunStream() {
  TrainStream stream(stub_, *this);
  {
    std::lock_guard lock(mutex_);
    stream_ = &stream;
    writing_ = half_closed_ = false;
    if (stopping_) stream.Cancel();
  }
  const grpc::Status ended = stream.Run();
  {
    std::lock_guard lock(mutex_);
    stream_ = nullptr;
  }
  if (ended.ok()) {
    return absl::UnavailableError(fmt::format("ckptd at {} ended the stream", options_.server));
  }
  return FromGrpc(ended, options_.server);
}

void TrainSession::OnOpen() {
  const std::vector<std::string> awaited = saves_.Awaited();
  std::lock_guard lock(mutex_);
  v1::TrainRequest request;
  *request.mutable_hello() = options_.hello;
  if (welcome_.has_value()) {
    request.mutable_hello()->set_start(v1::Hello::START_RESUME);
    request.mutable_hello()->clear_resumed_from();
    request.mutable_hello()->set_writer_epoch(welcome_->writer_epoch());
    request.mutable_hello()->set_last_decided_seq(last_decided_);
    request.mutable_hello()->mutable_awaited_saves()->Assign(awaited.begin(), awaited.end());
  }
  writing_ = true;
  stream_->Write(request);
}

void TrainSession::OnWritten() {
  std::lock_guard lock(mutex_);
  writing_ = false;
  Send();
}

void TrainSession::OnClosing() {
  std::lock_guard lock(mutex_);
  if (link_ == Link::kUp) lost_since_ = Clock::now();
  link_ = Link::kDown;
  changed_.notify_all();
}

void TrainSession::OnResponse(v1::TrainResponse response) {
  switch (response.message_case()) {
    case v1::TrainResponse::kWelcome:
      return OnWelcome(std::move(*response.mutable_welcome()));
    case v1::TrainResponse::kDecision:
      return OnDecision(std::move(*response.mutable_decision()));
    case v1::TrainResponse::kProgress: {
      std::lock_guard lock(mutex_);
      log_.Acknowledge(response.progress().durable_seq());
      changed_.notify_all();
      return;
    }
    case v1::TrainResponse::kOutcome:
      return saves_.OnOutcome(response.outcome());
    case v1::TrainResponse::MESSAGE_NOT_SET:
      return;  // of a newer daemon
  }
}

void TrainSession::OnWelcome(v1::Welcome welcome) {
  *welcome.mutable_limits() = WithDefaults(welcome.limits());
  {
    std::lock_guard lock(mutex_);
    if (!welcome_.has_value()) last_decided_ = welcome.durable_seq();
    failure_ = Resume(welcome);
    if (!failure_.ok()) {
      stream_->Cancel();
      changed_.notify_all();
      return;
    }
  }
  if (options_.welcomed) options_.welcomed(welcome);
  AdoptOpenSaves(welcome);
  std::vector<std::string> open;
  for (const v1::Checkpoint& save : welcome.open_saves()) open.push_back(save.name());
  saves_.OnWelcomed(open);
  {
    std::lock_guard lock(mutex_);
    welcome_ = std::move(welcome);
    link_ = Link::kUp;
    last_error_ = absl::OkStatus();
    changed_.notify_all();
    if (!writing_) Send();
  }
  // Whoever hears of it may report events at once.
  if (std::exchange(lost_announced_, false)) {
    Notify(fmt::format("ckptd at {} answers", options_.server));
  }
}

absl::Status TrainSession::Resume(const v1::Welcome& welcome) {
  const uint64_t durable = welcome.durable_seq();
  if (!welcome_.has_value()) {
    log_.StartAfter(durable);
  } else if (durable < log_.durable_seq() || durable > log_.last_seq()) {
    // What the daemon has lost cannot be sent again; what it has more is not ours.
    return Annotate(
        SequenceGap(log_.durable_seq() + 1, durable + 1),
        fmt::format("ckptd at {} came back with another history of the run", options_.server));
  }
  log_.Acknowledge(durable);
  log_.Rewind();
  abandons_.clear();  // those still needed are found again in the open saves
  quiet_.RestartElsewhere(welcome.quiet_batches());
  for (const v1::Event& event : log_.pending()) {
    if (event.kind() == v1::Event::KIND_BATCH_END) quiet_.Count(event.batch());
  }
  return absl::OkStatus();
}

// Saves that nobody here knows of: an unsolicited decision that was lost is taken up now; what was
// decided and forgotten (a weights callback failed) is given up again. Other lost decisions come
// anew.
void TrainSession::AdoptOpenSaves(const v1::Welcome& welcome) {
  for (const v1::Checkpoint& save : welcome.open_saves()) {
    if (saves_.Owes(save.name())) continue;
    if (save.seq() == 0) {
      v1::Decision decision;
      *decision.add_saves() = save;
      OnDecision(std::move(decision));
    } else if (save.seq() <= last_decided_) {
      Abandon(save.name(), "the trainer no longer has its bytes");
    }
  }
}

void TrainSession::OnDecision(v1::Decision decision) {
  // Told before it was durable, and told again when the event came anew: only a save would be news.
  const bool given_again = decision.seq() != 0 && decision.seq() <= last_decided_;
  if (given_again && decision.saves().empty()) return;
  last_decided_ = std::max(last_decided_, decision.seq());
  for (const v1::Checkpoint& save : decision.saves()) saves_.OnDecided(save);
  std::lock_guard lock(mutex_);
  if (decision.seq() != 0 && decision.seq() == awaited_seq_) {
    quiet_.Restart(decision.quiet_batches());
    answer_ = std::move(decision);
    changed_.notify_all();
  } else {
    unasked_.push_back(std::move(decision));
  }
}

void TrainSession::Notify(const std::string& text) {
  if (options_.notify) options_.notify(text);
}

}  // namespace ckpt::client
