#include <fmt/format.h>

#include <CLI/App.hpp>
#include <chrono>
#include <memory>

#include "client/ckptctl/commands/commands.h"
#include "client/ckptctl/target.h"
#include "client/ckptctl/views.h"
#include "storage/base/errors.h"

namespace ckpt::ctl {
namespace {

struct Options {
  std::string run;
  double wait_seconds = 600;
  bool no_wait = false;
};

absl::Status Save(const Context& context, const Options& options) {
  const absl::StatusOr<Target> target = ParseTarget(options.run);
  if (!target.ok()) return target.status();
  if (!target->id.empty()) {
    return absl::InvalidArgumentError("save takes a run, not a checkpoint");
  }
  std::string asked_for;
  const auto decided = [&](const v1::Checkpoint& save) {
    asked_for = TargetOfCheckpoint(save.name());
    if (options.no_wait) return false;
    context.streams.err << fmt::format("{} is on its way\n", asked_for) << std::flush;
    return true;
  };
  const std::chrono::milliseconds limit =
      options.no_wait
          ? context.timeout()
          : std::chrono::milliseconds(static_cast<int64_t>(options.wait_seconds * 1000));
  const absl::StatusOr<v1::Checkpoint> saved = context.Connect().Save(target->run, limit, decided);
  if (absl::IsDeadlineExceeded(saved.status()) && !asked_for.empty()) {
    return absl::DeadlineExceededError(
        fmt::format("{} is not committed after {} s; it may be yet, 'ckptctl show {}' tells",
                    asked_for, options.wait_seconds, asked_for));
  }
  if (!saved.ok()) return saved.status();
  PrintOne(context.format, CheckpointView(), *saved, context.streams.out);
  return absl::OkStatus();
}

}  // namespace

void AddSaveCommand(CLI::App& app, Context& context) {
  CLI::App* save = app.add_subcommand("save", "Have a run saved now, whatever its policies say");
  const auto options = std::make_shared<Options>();
  save->add_option("RUN", options->run, "The run")->required();
  save->add_option("--wait", options->wait_seconds, "Seconds to wait for the checkpoint")
      ->check(CLI::Range(0.001, 1e6).description(""))
      ->capture_default_str();
  save->add_flag("--no-wait", options->no_wait, "Ask, and do not wait for the checkpoint");
  save->footer(
      "The newest snapshot in memory is written, if there is one. Else the trainer hands its "
      "weights\n"
      "over at its next event, and the checkpoint is named on-demand/ID below the run's folder.\n"
      "Examples:\n"
      "  ckptctl save digits\n"
      "  ckptctl -o name save digits --wait 60\n"
      "  ckptctl save digits --no-wait");
  save->callback([&context, options] {
    context.command = [&context, options] { return Save(context, *options); };
  });
}

}  // namespace ckpt::ctl
