#include "ckpt/run.h"

#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>

#include "ckpt/v1/weight_service.grpc.pb.h"
#include "client/cpp/src/channel.h"
#include "client/cpp/src/hand_over.h"
#include "client/cpp/src/print.h"
#include "client/cpp/src/train_session.h"
#include "client/cpp/src/uploader.h"
#include "storage/base/clock.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt {
namespace {

using client::TrainSession;
using client::Uploader;
using Ask = TrainSession::Ask;

constexpr int64_t kMaxIndex = int64_t{1} << 53;
constexpr size_t kGrowth = 4;

absl::Status CheckIndex(std::string_view what, int64_t value) {
  if (value >= 0 && value <= kMaxIndex) return absl::OkStatus();
  return MakeError(v1::ERROR_REASON_EVENT_INVALID,
                   fmt::format("{} is {}, not within 0 to 2^53", what, value));
}

absl::Status CheckOptions(const RunOptions& options) {
  if (absl::Status status = CheckRunId(options.run); !status.ok()) return status;
  if (options.max_buffered_events == 0)
    return FieldInvalid("max_buffered_events", "0", "must be above 0");
  if (options.max_uploads == 0) return FieldInvalid("max_uploads", "0", "must be above 0");
  return absl::OkStatus();
}

v1::Hello HelloOf(const RunOptions& options, bool holds_snapshots) {
  v1::Hello hello;
  hello.set_holds_snapshots(holds_snapshots);
  hello.set_run(RunName(options.run));
  hello.mutable_policies()->Add(options.policies.begin(), options.policies.end());
  hello.mutable_policy_names()->Add(options.policy_names.begin(), options.policy_names.end());
  hello.mutable_labels()->insert(options.labels.begin(), options.labels.end());
  hello.set_resumed_from(options.resumed_from);
  hello.set_client(fmt::format("ckpt-cpp {} (pid {})", CKPT_VERSION, getpid()));
  switch (options.start) {
    case RunOptions::StartMode::kResume:
      hello.set_start(v1::Hello::START_RESUME);
      break;
    case RunOptions::StartMode::kFresh:
      hello.set_start(v1::Hello::START_FRESH);
      break;
    case RunOptions::StartMode::kCreate:
      hello.set_start(v1::Hello::START_CREATE);
      break;
  }
  return hello;
}

size_t MostOnTheirWay(const RunOptions& options) {
  const bool grows = options.when_busy == RunOptions::WhenBusy::kGrow;
  return grows ? kGrowth * options.max_uploads : options.max_uploads;
}

client::LocalOptions LocalOptionsOf(const RunOptions& options) {
  const char* variable = std::getenv("CKPT_LOCAL");
  return {.enabled =
              options.shared_memory && (variable == nullptr || std::string_view(variable) != "off"),
          .snapshots = MostOnTheirWay(options),
          .reserved = options.max_uploads,
          .reserve = options.reserve_bytes,
          .notify = options.notify};
}

v1::Event EventOf(v1::Event::Kind kind) {
  v1::Event event;
  event.set_kind(kind);
  event.set_time_unix_nanos(SystemClock().UnixNanos());
  return event;
}

class RunImpl final : public Run {
 public:
  explicit RunImpl(RunOptions options);
  ~RunImpl() override { uploader_->Stop(); }

  absl::Status AwaitWelcome();

  v1::Run info() const override { return session_->welcome().run(); }
  std::map<std::string, std::vector<std::string>> warnings() const override;

  absl::Status OnTrainBegin() override;
  absl::Status OnEpochBegin(int64_t epoch) override;
  absl::StatusOr<v1::Decision> OnBatchEnd(int64_t batch, Logs logs,
                                          std::string_view staged) override;
  absl::StatusOr<v1::Decision> OnEpochEnd(int64_t epoch, Logs logs,
                                          std::string_view staged) override;
  absl::Status OnTrainEnd() override;

  absl::StatusOr<std::string> Stage(std::vector<PartBytes> parts) override;
  absl::Status Flush() override;
  absl::Status Close() override;

 private:
  // Reports the event and serves what it, or anybody meanwhile, has decided.
  absl::StatusOr<v1::Decision> Report(v1::Event event, Logs logs, Ask ask);
  void Serve(const v1::Decision& decision, bool staged);
  void ServeUnasked();
  void TakeWeights(const v1::Checkpoint& save);
  void Skip(const v1::Checkpoint& save);
  void AwaitStaged(const v1::Decision& decision);

  const RunOptions options_;
  const std::shared_ptr<grpc::Channel> control_;
  const std::shared_ptr<grpc::Channel> bulk_;
  const std::unique_ptr<v1::TrainingService::Stub> training_;
  const std::unique_ptr<v1::CatalogService::Stub> catalog_;
  const std::unique_ptr<v1::WeightService::Stub> weights_;
  const std::unique_ptr<client::HandOver> hand_over_;
  // They call each other: the uploader's threads end before the session, its object after it.
  std::unique_ptr<Uploader> uploader_;
  std::unique_ptr<TrainSession> session_;
  int64_t epoch_ = 0;  // of the newest epoch begin
  uint64_t stages_ = 0;
};

RunImpl::RunImpl(RunOptions options)
    : options_(std::move(options)),
      control_(client::MakeChannel(options_.server, client::Traffic::kControl)),
      bulk_(client::MakeChannel(options_.server, client::Traffic::kBulk)),
      training_(v1::TrainingService::NewStub(control_)),
      catalog_(v1::CatalogService::NewStub(control_)),
      weights_(v1::WeightService::NewStub(bulk_)),
      hand_over_(
          std::make_unique<client::HandOver>(bulk_, options_.server, LocalOptionsOf(options_))) {
  uploader_ = std::make_unique<Uploader>(
      *hand_over_, *catalog_,
      client::UploaderOptions{.server = options_.server,
                              .max_uploads = MostOnTheirWay(options_),
                              .patience = options_.reconnect_timeout,
                              .abandon = [this](const std::string& save, const std::string& why) {
                                session_->Abandon(save, why);
                              }});
  session_ = std::make_unique<TrainSession>(
      *training_,
      client::SessionOptions{
          .server = options_.server,
          .hello = HelloOf(options_, LocalOptionsOf(options_).enabled),
          .reconnect_timeout = options_.reconnect_timeout,
          .max_buffered_events = options_.max_buffered_events,
          .welcomed = [this](const v1::Welcome& welcome) { hand_over_->OnWelcome(welcome); },
          .notify = options_.notify},
      *uploader_);
}

absl::Status RunImpl::AwaitWelcome() {
  if (absl::Status status = session_->AwaitWelcome(); !status.ok()) return status;
  const v1::Run run = info();
  for (const v1::CheckpointPolicy& policy : run.policies()) {
    if (policy.options().placement() == v1::StorageOptions::PLACEMENT_MEMORY &&
        !hand_over_->shares_memory()) {
      return SharedMemoryRequired(fmt::format("what policy '{}' chooses", policy.name()));
    }
  }
  return absl::OkStatus();
}

std::map<std::string, std::vector<std::string>> RunImpl::warnings() const {
  std::map<std::string, std::vector<std::string>> warnings;
  const v1::Welcome welcome = session_->welcome();
  for (const v1::PolicyWarnings& policy : welcome.warnings()) {
    warnings[policy.policy()] = {policy.warnings().begin(), policy.warnings().end()};
  }
  return warnings;
}

absl::Status RunImpl::OnTrainBegin() {
  return Report(EventOf(v1::Event::KIND_TRAIN_BEGIN), {}, Ask::kNever).status();
}

absl::Status RunImpl::OnTrainEnd() {
  return Report(EventOf(v1::Event::KIND_TRAIN_END), {}, Ask::kAlways).status();
}

absl::Status RunImpl::OnEpochBegin(int64_t epoch) {
  if (absl::Status status = CheckIndex("epoch", epoch); !status.ok()) return status;
  v1::Event event = EventOf(v1::Event::KIND_EPOCH_BEGIN);
  event.set_epoch(epoch);
  epoch_ = epoch;
  return Report(std::move(event), {}, Ask::kNever).status();
}

absl::StatusOr<v1::Decision> RunImpl::OnBatchEnd(int64_t batch, Logs logs,
                                                 std::string_view staged) {
  if (absl::Status status = CheckIndex("batch", batch); !status.ok()) return status;
  v1::Event event = EventOf(v1::Event::KIND_BATCH_END);
  event.set_epoch(epoch_);
  event.set_batch(batch);
  event.set_staged_upload(std::string(staged));
  return Report(std::move(event), logs, staged.empty() ? Ask::kIfDue : Ask::kAlways);
}

absl::StatusOr<v1::Decision> RunImpl::OnEpochEnd(int64_t epoch, Logs logs,
                                                 std::string_view staged) {
  if (absl::Status status = CheckIndex("epoch", epoch); !status.ok()) return status;
  v1::Event event = EventOf(v1::Event::KIND_EPOCH_END);
  event.set_epoch(epoch);
  event.set_staged_upload(std::string(staged));
  return Report(std::move(event), logs, Ask::kAlways);
}

absl::StatusOr<v1::Decision> RunImpl::Report(v1::Event event, Logs logs, Ask ask) {
  const bool staged = !event.staged_upload().empty();
  absl::StatusOr<v1::Decision> decision = session_->Report(std::move(event), logs, ask);
  ServeUnasked();
  if (decision.ok()) Serve(*decision, staged);
  return decision;
}

void RunImpl::ServeUnasked() {
  for (const v1::Decision& decision : session_->TakeUnasked()) Serve(decision, false);
}

void RunImpl::Serve(const v1::Decision& decision, bool staged) {
  const bool has_words = std::any_of(
      decision.policies().begin(), decision.policies().end(), [](const v1::PolicyDecision& policy) {
        return !policy.message().empty() || !policy.warning().empty() || policy.has_error();
      });
  if (has_words) options_.print(decision);
  for (const v1::Checkpoint& save : decision.saves()) {
    if (options_.when_busy == RunOptions::WhenBusy::kSkip && !uploader_->HasSlot()) {
      Skip(save);
      continue;
    }
    uploader_->AwaitSlot();
    TakeWeights(save);
  }
  if (staged) AwaitStaged(decision);
}

// A save of a staged event that the decision does not ask bytes for has taken those of the stage.
void RunImpl::AwaitStaged(const v1::Decision& decision) {
  std::set<std::string> staged;
  for (const v1::PolicyDecision& policy : decision.policies()) staged.insert(policy.save());
  for (const v1::Checkpoint& save : decision.saves()) staged.erase(save.name());
  staged.erase("");
  for (const std::string& save : staged) {
    uploader_->AwaitSlot();
    uploader_->AwaitStaged(save);
  }
}

void RunImpl::TakeWeights(const v1::Checkpoint& save) {
  absl::StatusOr<std::vector<PartBytes>> parts =
      options_.weights ? options_.weights(save)
                       : absl::FailedPreconditionError("the trainer has no weights callback");
  if (parts.ok() && parts->empty()) {
    parts = absl::FailedPreconditionError("the weights callback gave no parts");
  }
  if (parts.ok()) {
    uploader_->Upload(save.name(), *std::move(parts));
  } else {
    uploader_->GiveUp(save.name(), parts.status());
  }
}

void RunImpl::Skip(const v1::Checkpoint& save) {
  const std::string why =
      fmt::format("skipped: {} saves are still on their way", options_.max_uploads);
  uploader_->Skip(save.name(), why);
  options_.notify(fmt::format("save {} {}", save.name(), why));
}

absl::StatusOr<std::string> RunImpl::Stage(std::vector<PartBytes> parts) {
  if (parts.empty()) return FieldInvalid("parts", "", "a stage needs at least one");
  // Unique within the run: no other process has this writer's epoch.
  v1::StagedTarget target;
  target.set_run(RunName(options_.run));
  target.set_stage_id(fmt::format("{}-{}", session_->welcome().writer_epoch(), ++stages_));
  if (absl::Status status = uploader_->Stage(target, std::move(parts)); !status.ok()) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    v1::DiscardStagedRequest request;
    *request.mutable_staged() = target;
    v1::DiscardStagedResponse response;
    weights_->DiscardStaged(&context, request, &response);  // else the daemon's timeout does it
    return status;
  }
  return target.stage_id();
}

absl::Status RunImpl::Flush() {
  absl::Status events = session_->AwaitDurable();
  absl::Status saves = uploader_->AwaitIdle();
  return events.ok() ? saves : events;
}

absl::Status RunImpl::Close() {
  const absl::Status flushed = Flush();
  for (const v1::Decision& decision : session_->TakeUnasked()) {
    for (const v1::Checkpoint& save : decision.saves()) {
      session_->Abandon(save.name(), "training is over");
    }
  }
  session_->Close();
  return flushed;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Run>> Run::Start(RunOptions options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  options.server = client::ServerOrDefault(options.server);
  if (!options.print) options.print = client::PrintDecision;
  if (!options.notify) options.notify = client::PrintNotice;
  auto run = std::make_unique<RunImpl>(std::move(options));
  if (absl::Status status = run->AwaitWelcome(); !status.ok()) return status;
  return run;
}

}  // namespace ckpt
