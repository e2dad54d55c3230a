#include <fmt/format.h>

#include <CLI/App.hpp>
#include <memory>

#include "client/ckptctl/commands/commands.h"
#include "client/ckptctl/target.h"
#include "storage/base/names.h"

namespace ckpt::ctl {
namespace {

struct Options {
  std::vector<std::string> targets;
  bool yes = false;
};

absl::StatusOr<std::vector<Target>> ParseTargets(const std::vector<std::string>& texts) {
  std::vector<Target> targets;
  for (const std::string& text : texts) {
    absl::StatusOr<Target> target = ParseTarget(text);
    if (!target.ok()) return target.status();
    if (IsAlias(target->id)) {
      return absl::InvalidArgumentError(fmt::format(
          "'{}' moves from one checkpoint to another; name the one to delete by its number ("
          "'ckptctl show {}' tells it)",
          text, text));
    }
    targets.push_back(*std::move(target));
  }
  return targets;
}

// One question for all that is to go. Without a terminal, whole runs need --yes.
absl::Status Confirm(const Context& context, const std::vector<Target>& targets) {
  std::string what;
  bool whole_run = false;
  for (const Target& target : targets) {
    whole_run = whole_run || target.id.empty();
    what += target.id.empty() ? fmt::format("\n  {} and everything in it", target.run)
                              : fmt::format("\n  {}@{}", target.run, target.id);
  }
  if (!context.streams.in_is_terminal) {
    if (!whole_run) return absl::OkStatus();
    return absl::InvalidArgumentError("deleting a whole run takes --yes when nobody can be asked");
  }
  context.streams.err << "Delete for good:" << what << "\nSure? [y/N] " << std::flush;
  std::string answer;
  std::getline(context.streams.in, answer);
  if (answer == "y" || answer == "Y" || answer == "yes") return absl::OkStatus();
  return absl::CancelledError("nothing was deleted");
}

absl::Status Remove(const Context& context, const Options& options) {
  const absl::StatusOr<std::vector<Target>> targets = ParseTargets(options.targets);
  if (!targets.ok()) return targets.status();
  if (!options.yes) {
    if (absl::Status status = Confirm(context, *targets); !status.ok()) return status;
  }
  Client client = context.Connect();
  for (size_t i = 0; i < targets->size(); ++i) {
    const Target& target = (*targets)[i];
    const absl::Status status = target.id.empty() ? client.DeleteRun(target.run)
                                                  : client.DeleteCheckpoint(target.run, target.id);
    if (!status.ok()) return status;
    context.streams.err << "deleted " << options.targets[i] << '\n';
  }
  return absl::OkStatus();
}

}  // namespace

void AddRmCommand(CLI::App& app, Context& context) {
  CLI::App* rm = app.add_subcommand("rm", "Delete checkpoints, or whole runs");
  const auto options = std::make_shared<Options>();
  rm->add_option("RUN[@ID]", options->targets, "What to delete, in this order")->required();
  rm->add_flag("-y,--yes", options->yes, "Do not ask");
  rm->footer(
      "Stops at the first that cannot be deleted.\n"
      "Examples:\n"
      "  ckptctl rm digits@3 digits@4\n"
      "  ckptctl rm digits --yes\n"
      "  ckptctl -o name list digits --filter 'epoch < 10' | xargs ckptctl rm");
  rm->callback([&context, options] {
    context.command = [&context, options] { return Remove(context, *options); };
  });
}

}  // namespace ckpt::ctl
