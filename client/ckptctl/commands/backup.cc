#include <fmt/format.h>

#include <CLI/App.hpp>
#include <memory>
#include <optional>
#include <string>

#include "client/ckptctl/commands/commands.h"
#include "client/ckptctl/progress_bar.h"
#include "client/ckptctl/text.h"

namespace ckpt::ctl {
namespace {

absl::Status BackUp(const Context& context, const std::string& path) {
  Client client = context.Connect();
  std::optional<ProgressBar> bar;
  if (context.streams.err_is_terminal) bar.emplace(context.streams.err, "backup");
  v1::BackupResponse newest;
  const absl::Status status = client.Backup(path, [&](const v1::BackupResponse& response) {
    newest = response;
    if (bar) bar->Update(response.bytes(), response.total_bytes());
  });
  bar.reset();
  if (!status.ok()) return status;
  context.streams.err << fmt::format(
      "backed up {} checkpoints, {}; 'ckptd --data-dir {}' opens them\n", newest.checkpoints(),
      HumanBytes(newest.bytes()), Escaped(path));
  return absl::OkStatus();
}

}  // namespace

void AddBackupCommand(CLI::App& app, Context& context) {
  CLI::App* backup = app.add_subcommand("backup", "Copy the data folder while the daemon works");
  const auto path = std::make_shared<std::string>();
  backup
      ->add_option("DIR", *path,
                   "Absolute path on the daemon's host: a new or empty folder outside of the data "
                   "folder")
      ->required();
  backup->footer(
      "Everything committed before is in the copy. On the same file system bytes are shared by "
      "hard\n"
      "links: that is quick, and no protection from a broken disk.\n"
      "Examples:\n"
      "  ckptctl backup /mnt/backup/ckptd-2026-11-24\n"
      "  ckptd --data-dir /mnt/backup/ckptd-2026-11-24");
  backup->callback(
      [&context, path] { context.command = [&context, path] { return BackUp(context, *path); }; });
}

}  // namespace ckpt::ctl
