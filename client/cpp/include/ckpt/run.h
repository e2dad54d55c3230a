// The trainer's side of ckptd: report events, hand over weights when asked.
//
//   auto run = ckpt::Run::Start({.run = "digits", .policies = {policy}, .weights = Serialize});
//   (*run)->OnTrainBegin();
//   for (epoch …) { (*run)->OnEpochBegin(epoch); … (*run)->OnEpochEnd(epoch, {{"val_loss", v}}); }
//   (*run)->OnTrainEnd();
//   absl::Status status = (*run)->Close();  // what failed to be saved, if anything
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/policy.pb.h"
#include "ckpt/v1/resources.pb.h"

namespace ckpt {

// One metric of an event. `name` is only read during the call it is passed to.
struct Metric {
  template <std::floating_point T>
  Metric(std::string_view metric_name, T metric_value) : name(metric_name), value(metric_value) {}
  template <std::integral T>
  Metric(std::string_view metric_name, T metric_value)
      : name(metric_name),
        value(static_cast<double>(metric_value)),
        is_integer(true),
        integer(static_cast<int64_t>(metric_value)) {}

  std::string_view name;
  double value = 0;
  bool is_integer = false;  // file names show `integer` without a decimal point
  int64_t integer = 0;
};
using Logs = std::span<const Metric>;

// Bytes of one part. The memory stays valid and unchanged as long as `owner` lives; without an
// owner, until the call that asked for them (On…, Stage) returns: they are copied where need be, by
// gRPC into memory that the run keeps for its next saves.
// The owner is let go on any thread, and by gRPC a moment after the save has ended.
struct PartBytes {
  // Takes the string over.
  static PartBytes Own(std::string part_name, std::string bytes) {
    auto held = std::make_shared<const std::string>(std::move(bytes));
    return {std::move(part_name), *held, held};
  }
  // Leaves it to the caller: the trainer's own memory, such as the model itself. In shared memory
  // this is the fastest, one copy in all.
  static PartBytes Borrow(std::string part_name, std::string_view bytes) {
    return {std::move(part_name), bytes, nullptr};
  }

  std::string part;  // such as "weights"
  std::string_view bytes;
  std::shared_ptr<const void> owner;
};

// Called on the thread of the event that was decided, before the On… call returns: takes a snapshot
// of the model. `save` says what is wanted (payload, epoch, placements). An error gives the save
// up.
using WeightsCallback =
    std::function<absl::StatusOr<std::vector<PartBytes>>(const v1::Checkpoint& save)>;

// Called with every Decision that has words or warnings to print, on the thread of the event,
// before weights are asked for. The default prints messages to standard output as the reference
// does, and warnings to standard error.
using DecisionPrinter = std::function<void(const v1::Decision& decision)>;

struct RunOptions {
  enum class StartMode { kResume, kFresh, kCreate };  // see v1::Hello.Start
  // What a SAVE does while max_uploads are on their way: waits for one to end; is not taken, with a
  // notice, and its rank given back; takes more memory, up to four times as many saves.
  enum class WhenBusy { kWait, kSkip, kGrow };

  std::string server;  // "HOST:PORT" or "unix:PATH"; empty: $CKPT_SERVER, or else 127.0.0.1:7070
  std::string run;     // REQUIRED, run id
  StartMode start = StartMode::kResume;
  std::vector<v1::CheckpointPolicy> policies;  // inline policies
  std::vector<std::string> policy_names;       // policies of the daemon's configuration
  std::map<std::string, std::string> labels;
  std::string resumed_from;  // id of the checkpoint this process has loaded, if any
  WeightsCallback weights;   // REQUIRED unless every save is staged
  DecisionPrinter print;     // empty: the default
  // How long an On… call, Start and Flush go on reconnecting to a daemon that is gone before they
  // fail with UNAVAILABLE. Training events are buffered meanwhile.
  std::chrono::milliseconds reconnect_timeout = std::chrono::minutes(10);
  // Events kept while they are not durable; when full, On… calls wait for the daemon.
  size_t max_buffered_events = 65536;
  // Saves on their way at once, until they are durable; when reached, see `when_busy`.
  size_t max_uploads = 2;
  WhenBusy when_busy = WhenBusy::kWait;
  // Whether weights are handed over in shared memory where the daemon is on this host: an event
  // then waits for one copy of them, and a save survives the end of this process. Falls back to
  // gRPC by itself. The environment's CKPT_LOCAL=off turns it off, too.
  bool shared_memory = true;
  // Shared memory to take at Start for each of `max_uploads` saves, for the first part of a save;
  // 0: when the first saves come, which then wait for it.
  size_t reserve_bytes = 0;
  // Told, on any thread, when the daemon is lost and when it answers again, when a save is skipped,
  // and why shared memory cannot be used. Empty: a line on standard error.
  std::function<void(std::string_view)> notify;
};

// A run in progress. Event calls (On…) come from one thread; Flush and Close may come from another.
// Destroying a Run without Close abandons what is not durable.
class Run {
 public:
  // Connects and says Hello. Errors: those of TrainingService.Train (ckpt::ReasonOf tells the
  // reason), UNAVAILABLE after reconnect_timeout.
  static absl::StatusOr<std::unique_ptr<Run>> Start(RunOptions options);
  virtual ~Run() = default;

  // The run as the daemon described it at the last (re)connect, with its policies and their states.
  virtual v1::Run info() const = 0;
  // The reference's constructor warnings, by policy name.
  virtual std::map<std::string, std::vector<std::string>> warnings() const = 0;

  // Events. Each returns once it is on its way; where a decision is due, once it has been decided
  // and the weights have been taken (not uploaded). The Decision is empty (no policies) when no
  // policy acted. `staged` names a stage (see Stage) that holds this moment's bytes. Errors:
  // ABORTED (a newer trainer has the run), UNAVAILABLE, INVALID_ARGUMENT (EVENT_INVALID).
  virtual absl::Status OnTrainBegin() = 0;
  virtual absl::Status OnEpochBegin(int64_t epoch) = 0;
  virtual absl::StatusOr<v1::Decision> OnBatchEnd(int64_t batch, Logs logs,
                                                  std::string_view staged = {}) = 0;
  virtual absl::StatusOr<v1::Decision> OnEpochEnd(int64_t epoch, Logs logs,
                                                  std::string_view staged = {}) = 0;
  virtual absl::Status OnTrainEnd() = 0;

  absl::StatusOr<v1::Decision> OnBatchEnd(int64_t batch, std::initializer_list<Metric> logs) {
    return OnBatchEnd(batch, Logs(logs.begin(), logs.size()));
  }
  absl::StatusOr<v1::Decision> OnEpochEnd(int64_t epoch, std::initializer_list<Metric> logs) {
    return OnEpochEnd(epoch, Logs(logs.begin(), logs.size()));
  }

  // Uploads parts before a decision (blocking) and returns the stage's id, to be named in one
  // event. If a policy saves at that event the stage becomes the checkpoint, else it is discarded.
  virtual absl::StatusOr<std::string> Stage(std::vector<PartBytes> parts) = 0;

  // Waits until every event and every save so far is durable. OK, or what failed: an error that
  // names every failed save since the last Flush.
  virtual absl::Status Flush() = 0;
  // Flush, then ends the stream. Later calls fail with FAILED_PRECONDITION.
  virtual absl::Status Close() = 0;
};

}  // namespace ckpt
