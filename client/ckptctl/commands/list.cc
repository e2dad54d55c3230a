#include <CLI/App.hpp>
#include <algorithm>
#include <limits>
#include <memory>

#include "client/ckptctl/commands/commands.h"
#include "client/ckptctl/target.h"
#include "client/ckptctl/views.h"

namespace ckpt::ctl {
namespace {

constexpr int64_t kMaxPage = 1000;

struct Options {
  std::string run;
  std::string filter;
  std::string order_by;
  int64_t limit = 0;  // 0: no limit
};

absl::Status List(const Context& context, const Options& options) {
  std::string run;
  if (!options.run.empty()) {
    const absl::StatusOr<Target> target = ParseTarget(options.run);
    if (!target.ok()) return target.status();
    if (!target->id.empty()) {
      return absl::InvalidArgumentError("list takes a run; 'ckptctl show' takes a checkpoint");
    }
    run = target->run;
  }
  const int64_t page = options.limit > 0 ? std::min(options.limit, kMaxPage) : kMaxPage;
  int64_t left = options.limit > 0 ? options.limit : -1;
  ListPrinter<v1::Checkpoint> printer(context.format, CheckpointView(), context.streams.out);
  Client client = context.Connect();
  const absl::Status status =
      client.ListCheckpoints(run, options.filter, options.order_by, static_cast<int>(page),
                             [&](const v1::Checkpoint& checkpoint) {
                               printer.Print(checkpoint);
                               return --left != 0;
                             });
  if (status.ok()) printer.Finish();
  return status;
}

}  // namespace

void AddListCommand(CLI::App& app, Context& context) {
  CLI::App* list = app.add_subcommand("list", "List the checkpoints of a run, or of all runs");
  const auto options = std::make_shared<Options>();
  list->add_option("RUN", options->run, "The run; all of them when left out");
  list->add_option("--filter", options->filter,
                   "Comparisons joined by AND, on id, epoch, batch, size, policy, metrics.NAME …");
  list->add_option("--order-by", options->order_by,
                   "Fields, each with an optional ' desc', joined by commas");
  list->add_option("--limit", options->limit, "Most checkpoints to list")
      ->check(CLI::Range(int64_t{1}, std::numeric_limits<int64_t>::max()).description(""));
  list->footer(
      "Epochs and batches count from 0, as in the filter.\n"
      "Examples:\n"
      "  ckptctl list digits\n"
      "  ckptctl list digits --order-by metrics.val_loss --limit 3\n"
      "  ckptctl list --filter 'epoch >= 3 AND metrics.\"val/loss\" < 0.2'\n"
      "  ckptctl -o csv list digits > digits.csv");
  list->callback([&context, options] {
    context.command = [&context, options] { return List(context, *options); };
  });
}

}  // namespace ckpt::ctl
