#include <CLI/App.hpp>
#include <memory>

#include "client/ckptctl/commands/commands.h"
#include "client/ckptctl/target.h"
#include "client/ckptctl/views.h"

namespace ckpt::ctl {
namespace {

bool ForPeople(Format format) { return format == Format::kTable || format == Format::kWide; }

absl::Status ShowRun(const Context& context, const std::string& id) {
  const absl::StatusOr<v1::Run> run = context.Connect().GetRun(id);
  if (!run.ok()) return run.status();
  if (ForPeople(context.format)) {
    DescribeRun(*run, context.streams.out);
  } else {
    PrintOne(context.format, RunView(), *run, context.streams.out);
  }
  return absl::OkStatus();
}

absl::Status ShowCheckpoint(const Context& context, const Target& target) {
  const absl::StatusOr<v1::Checkpoint> checkpoint =
      context.Connect().GetCheckpoint(target.run, target.id);
  if (!checkpoint.ok()) return checkpoint.status();
  if (ForPeople(context.format)) {
    DescribeCheckpoint(*checkpoint, context.streams.out);
  } else {
    PrintOne(context.format, CheckpointView(), *checkpoint, context.streams.out);
  }
  return absl::OkStatus();
}

absl::Status Show(const Context& context, const std::string& text) {
  const absl::StatusOr<Target> target = ParseTarget(text);
  if (!target.ok()) return target.status();
  return target->id.empty() ? ShowRun(context, target->run) : ShowCheckpoint(context, *target);
}

}  // namespace

void AddShowCommand(CLI::App& app, Context& context) {
  CLI::App* show = app.add_subcommand("show", "Show everything about a run or a checkpoint");
  const auto target = std::make_shared<std::string>();
  show->add_option("RUN[@ID]", *target, "A run, or a checkpoint: RUN@3, RUN@best, RUN@latest")
      ->required();
  show->footer(
      "Examples:\n"
      "  ckptctl show digits\n"
      "  ckptctl show digits@best\n"
      "  ckptctl -o json show digits@12");
  show->callback([&context, target] {
    context.command = [&context, target] { return Show(context, *target); };
  });
}

}  // namespace ckpt::ctl
