#include <fmt/format.h>

#include <CLI/App.hpp>
#include <fstream>
#include <memory>

#include "ckpt/run.h"
#include "client/ckptctl/commands/commands.h"
#include "client/ckptctl/replay_case.h"
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

RunOptions OptionsOf(const Context& context, const ReplayCase& replay) {
  RunOptions options;
  options.server = context.server;
  options.run = replay.id;
  options.start = RunOptions::StartMode::kCreate;
  options.policies = {replay.policy};
  options.weights = [&replay](const v1::Checkpoint& save) {
    return std::vector{PartBytes::Own("weights", fmt::format("{} {}", replay.id, save.seq()))};
  };
  options.print = [](const v1::Decision&) {};
  options.reconnect_timeout = context.timeout();
  options.max_uploads = kUploads;
  return options;
}

absl::StatusOr<std::string> RunCase(const Context& context, const ReplayCase& replay) {
  ReplayResult result(replay.id);
  absl::StatusOr<std::unique_ptr<Run>> run = Run::Start(OptionsOf(context, replay));
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

// The mistake of a line is the file's, not the command line's.
absl::Status AtLine(const absl::Status& error, const std::string& file, size_t line) {
  const absl::Status located = Annotate(error, fmt::format("{}:{}", file, line));
  return absl::IsInvalidArgument(error) ? absl::UnknownError(located.message()) : located;
}

absl::Status Replay(const Context& context, const std::string& file) {
  std::ifstream opened;
  if (file != "-") {
    opened.open(file);
    if (!opened) return absl::UnknownError(fmt::format("cannot read '{}'", file));
  }
  std::istream& lines = file == "-" ? context.streams.in : opened;
  std::string line;
  for (size_t number = 1; std::getline(lines, line); ++number) {
    const absl::StatusOr<ReplayCase> replay = ParseReplayCase(line);
    if (!replay.ok()) return AtLine(replay.status(), file, number);
    const absl::StatusOr<std::string> result = RunCase(context, *replay);
    if (!result.ok()) return AtLine(result.status(), file, number);
    context.streams.out << *result << std::endl;
  }
  return absl::OkStatus();
}

}  // namespace

void AddReplayCommand(CLI::App& app, Context& context) {
  CLI::App* replay =
      app.add_subcommand("replay", "Drive runs from recorded events and print the decisions");
  const auto file = std::make_shared<std::string>();
  replay->add_option("FILE", *file, "Cases, one JSON object a line; - for standard input")
      ->required();
  replay->footer(
      "Each case becomes a run named by its id, which must not exist, and one line of output: the\n"
      "constructor's warnings or error, and what each event made the policy do.\n"
      "Examples:\n"
      "  ckptctl replay keras29.jsonl > got.jsonl\n"
      "  head -n 1 keras29.jsonl | ckptctl replay -");
  replay->callback(
      [&context, file] { context.command = [&context, file] { return Replay(context, *file); }; });
}

}  // namespace ckpt::ctl
