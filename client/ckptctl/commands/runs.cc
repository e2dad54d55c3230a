#include <CLI/App.hpp>
#include <memory>

#include "client/ckptctl/commands/commands.h"
#include "client/ckptctl/views.h"

namespace ckpt::ctl {
namespace {

absl::Status ListRuns(const Context& context, const std::string& filter) {
  ListPrinter<v1::Run> printer(context.format, RunView(), context.streams.out);
  Client client = context.Connect();
  const absl::Status status = client.ListRuns(filter, [&](const v1::Run& run) {
    printer.Print(run);
    return true;
  });
  if (status.ok()) printer.Finish();
  return status;
}

}  // namespace

void AddRunsCommand(CLI::App& app, Context& context) {
  CLI::App* runs = app.add_subcommand("runs", "List the runs");
  const auto filter = std::make_shared<std::string>();
  runs->add_option("--filter", *filter, "Conditions on name, state, epoch and labels.KEY");
  runs->footer(
      "Examples:\n"
      "  ckptctl runs\n"
      "  ckptctl runs --filter 'labels.team = \"vision\" AND epoch >= 3'\n"
      "  ckptctl -o name runs");
  runs->callback([&context, filter] {
    context.command = [&context, filter] { return ListRuns(context, *filter); };
  });
}

}  // namespace ckpt::ctl
