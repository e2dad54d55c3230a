#include "client/ckptctl/replay_run.h"

#include <fmt/format.h>

#include <memory>
#include <vector>

#include "ckpt/run.h"
#include "client/ckptctl/replay_result.h"
#include "storage/base/errors.h"

namespace ckpt::ctl {
namespace {

// Saves that are committed while the next events are decided.
constexpr size_t kUploads = 4;

absl::StatusOr<v1::Decision> Report(Run& run, const ReplayEvent& event) {
  std::vector<Metric> logs;
  for (const ReplayMetric& metric : event.logs) {
    logs.push_back(metric.is_integer ? Metric(metric.name, metric.integer)
                                     : Metric(metric.name, metric.value));
  }
  absl::Status status;
  switch (event.kind) {
    case v1::Event::KIND_BATCH_END:
      return run.OnBatchEnd(event.batch, Logs(logs));
    case v1::Event::KIND_EPOCH_END:
      return run.OnEpochEnd(event.epoch, Logs(logs));
    case v1::Event::KIND_EPOCH_BEGIN:
      status = run.OnEpochBegin(event.epoch);
      break;
    case v1::Event::KIND_TRAIN_BEGIN:
      status = run.OnTrainBegin();
      break;
    default:
      status = run.OnTrainEnd();
      break;
  }
  if (!status.ok()) return status;
  return v1::Decision();
}

RunOptions OptionsOf(const std::string& server, std::chrono::milliseconds patience,
                     const ReplayCase& replay) {
  RunOptions options;
  options.server = server;
  options.run = replay.id;
  options.start = RunOptions::StartMode::kCreate;
  options.policies = {replay.policy};
  options.weights = [&replay](const v1::Checkpoint& save) {
    return std::vector{PartBytes::Own("weights", fmt::format("{} {}", replay.id, save.seq()))};
  };
  options.print = [](const v1::Decision&) {};
  options.notify = [](std::string_view) {};  // the error says it, once
  options.reconnect_timeout = patience;
  options.max_uploads = kUploads;
  return options;
}

}  // namespace

absl::StatusOr<std::string> RunReplayCase(const std::string& server,
                                          std::chrono::milliseconds patience,
                                          const ReplayCase& replay) {
  ReplayResult result(replay.id);
  absl::StatusOr<std::unique_ptr<Run>> run = Run::Start(OptionsOf(server, patience, replay));
  if (!run.ok()) {
    if (result.SetInitError(run.status())) return result.ToLine();
    if (ReasonOf(run.status()) == v1::ERROR_REASON_RUN_EXISTS) {
      return Annotate(run.status(),
                      fmt::format("each case needs a new run; remove the old one with "
                                  "'ckptctl rm {} --yes'",
                                  replay.id));
    }
    return run.status();
  }
  const auto warnings = (*run)->warnings();
  if (const auto own = warnings.find(replay.policy.name()); own != warnings.end()) {
    result.SetWarnings(own->second);
  }
  for (size_t i = 0; i < replay.events.size(); ++i) {
    const absl::StatusOr<v1::Decision> decision = Report(**run, replay.events[i]);
    if (!decision.ok()) return Annotate(decision.status(), fmt::format("event {}", i));
    result.AddDecision(i, *decision);
  }
  if (absl::Status status = (*run)->Close(); !status.ok()) return status;
  return result.ToLine();
}

}  // namespace ckpt::ctl
