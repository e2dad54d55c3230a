#include <CLI/App.hpp>
#include <memory>

#include "client/ckptctl/commands/commands.h"
#include "client/ckptctl/target.h"
#include "client/ckptctl/views.h"

namespace ckpt::ctl {
namespace {

struct Options {
  std::string run;
  std::string metric;
  std::string mode;
  std::string policy;
};

absl::Status Best(const Context& context, const Options& options) {
  const absl::StatusOr<Target> target = ParseTarget(options.run);
  if (!target.ok()) return target.status();
  if (!target->id.empty()) {
    return absl::InvalidArgumentError("best takes a run; 'ckptctl show' takes a checkpoint");
  }
  const absl::StatusOr<v1::Checkpoint> best =
      context.Connect().GetBest(target->run, options.metric, options.mode, options.policy);
  if (!best.ok()) return best.status();
  PrintOne(context.format, CheckpointView(), *best, context.streams.out);
  return absl::OkStatus();
}

}  // namespace

void AddBestCommand(CLI::App& app, Context& context) {
  CLI::App* best = app.add_subcommand("best", "Show the best checkpoint of a run");
  const auto options = std::make_shared<Options>();
  best->add_option("RUN", options->run, "The run")->required();
  best->add_option("--metric", options->metric, "Metric to rank by; default: the policy's");
  best->add_option("--mode", options->mode, "min or max; default: the policy's")
      ->check(CLI::IsMember({"min", "max"}));
  best->add_option("--policy", options->policy, "Consider only what this policy chose");
  best->footer(
      "Examples:\n"
      "  ckptctl best digits\n"
      "  ckptctl best digits --metric val_accuracy --mode max\n"
      "  ckptctl -o name best digits");
  best->callback([&context, options] {
    context.command = [&context, options] { return Best(context, *options); };
  });
}

}  // namespace ckpt::ctl
