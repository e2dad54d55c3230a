#include <fmt/format.h>

#include <CLI/App.hpp>

#include "client/ckptctl/commands/commands.h"
#include "client/ckptctl/views.h"

namespace ckpt::ctl {
namespace {

absl::Status ShowStatus(const Context& context) {
  Client client = context.Connect();
  const absl::StatusOr<v1::Status> status = client.GetStatus();
  if (!status.ok()) return status.status();
  if (context.format == Format::kTable || context.format == Format::kWide) {
    DescribeStatus(*status, client.server(), context.streams.out);
  } else {
    PrintOne(context.format, StatusView(), *status, context.streams.out);
  }
  if (status->serving()) return absl::OkStatus();
  return absl::UnavailableError(
      fmt::format("ckptd at {} takes no saves: {}", client.server(), status->not_serving_reason()));
}

}  // namespace

void AddStatusCommand(CLI::App& app, Context& context) {
  CLI::App* status = app.add_subcommand("status", "Show how the daemon is");
  status->footer(
      "Exits with 4 when the daemon is not there or takes no saves.\n"
      "Examples:\n"
      "  ckptctl status\n"
      "  ckptctl -s unix:/run/ckptd.sock -o json status");
  status->callback([&context] { context.command = [&context] { return ShowStatus(context); }; });
}

}  // namespace ckpt::ctl
