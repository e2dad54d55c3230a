#include "client/ckptctl/command_line.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <map>
#include <set>

#include "client/ckptctl/commands/commands.h"
#include "client/ckptctl/suggestion.h"
#include "client/ckptctl/text.h"
#include "storage/base/errors.h"

namespace ckpt::ctl {
namespace {

constexpr char kFooter[] =
    "A checkpoint is named RUN@ID, where ID is its number, 'best', 'best:POLICY' or 'latest'.\n"
    "\n"
    "Standard output is data, standard error is everything else. Exit codes:\n"
    "  0 ok   1 error   2 wrong usage   3 not found   4 ckptd unavailable\n"
    "  5 damaged data   130 interrupted\n"
    "\n"
    "Examples:\n"
    "  ckptctl runs\n"
    "  ckptctl list digits --order-by metrics.val_loss --limit 3\n"
    "  ckptctl fetch digits@best -o best.safetensors\n"
    "  ckptctl -o json show digits | less\n"
    "'ckptctl COMMAND --help' has more.";

// CLI11's own check would show the numbers behind the names, and take them as well.
std::string FormatNumber(std::string& name) {
  static const std::map<std::string, Format> kFormats = {{"table", Format::kTable},
                                                         {"wide", Format::kWide},
                                                         {"json", Format::kJson},
                                                         {"csv", Format::kCsv},
                                                         {"name", Format::kName}};
  const auto found = kFormats.find(name);
  if (found == kFormats.end()) {
    return fmt::format("'{}' is none of table, wide, json, csv and name", name);
  }
  name = std::to_string(static_cast<int>(found->second));
  return {};
}

void AddGlobalOptions(CLI::App& app, Context& context) {
  app.add_option("-s,--server", context.server,
                 "HOST:PORT or unix:PATH; default: $CKPT_SERVER, else 127.0.0.1:7070");
  app.add_option("-o,--output", context.format, "table, wide, json, csv or name")
      ->transform(CLI::Validator(FormatNumber, ""))
      ->type_name("FORMAT");
  app.add_option("--timeout", context.timeout_seconds, "Seconds that a call may take")
      ->check(CLI::Range(0.001, 1e6).description(""))
      ->capture_default_str();
  app.set_version_flag("--version", fmt::format("ckptctl {}", CKPT_VERSION));
}

void AddCommands(CLI::App& app, Context& context) {
  AddRunsCommand(app, context);
  AddListCommand(app, context);
  AddBestCommand(app, context);
  AddShowCommand(app, context);
  AddFetchCommand(app, context);
  AddSaveCommand(app, context);
  AddRmCommand(app, context);
  AddStatusCommand(app, context);
  AddHistoryCommand(app, context);
  AddReplayCommand(app, context);
  AddVerifyCommand(app, context);
  AddBackupCommand(app, context);
  app.require_subcommand(1);
  // Global options may follow the command; fetch has an -o of its own.
  for (CLI::App* command : app.get_subcommands({})) command->fallthrough();
}

std::vector<std::string> CommandNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

// The first argument that is no option, if it is no command.
std::string UnknownCommand(const std::vector<std::string>& commands,
                           const std::vector<std::string>& arguments) {
  static const std::set<std::string> kWithValue = {"-s", "--server", "-o", "--output", "--timeout"};
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (kWithValue.contains(arguments[i])) {
      ++i;
    } else if (!arguments[i].starts_with("-")) {
      const bool known =
          std::find(commands.begin(), commands.end(), arguments[i]) != commands.end();
      return known ? "" : arguments[i];
    }
  }
  return {};
}

ExitCode ReportUsage(const CLI::App& app, const std::vector<std::string>& arguments,
                     const std::string& problem, std::ostream& err) {
  const std::vector<std::string> commands = CommandNames(app);
  const std::string unknown = UnknownCommand(commands, arguments);
  if (unknown.empty()) {
    err << fmt::format("ckptctl: {}; 'ckptctl --help' explains\n", Escaped(problem));
    return kUsage;
  }
  const std::string meant = Suggest(unknown, commands);
  err << fmt::format(
      "ckptctl: there is no command '{}'; {}\n", Escaped(unknown),
      meant.empty() ? "'ckptctl --help' lists them" : fmt::format("did you mean '{}'?", meant));
  return kUsage;
}

}  // namespace

ExitCode RunCommandLine(const std::vector<std::string>& arguments, const Streams& streams) {
  CLI::App app("Asks ckptd about training runs and their checkpoints.", "ckptctl");
  Context context{.streams = streams, .server = {}, .command = {}};
  app.footer(kFooter);
  AddGlobalOptions(app, context);
  AddCommands(app, context);
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::Success& wanted) {  // --help, --version
    app.exit(wanted, streams.out, streams.err);
    return kOk;
  } catch (const CLI::ParseError& error) {
    return ReportUsage(app, arguments, error.what(), streams.err);
  }
  const absl::Status status = context.command();
  if (!status.ok()) streams.err << "ckptctl: " << Escaped(MessageOf(status)) << '\n';
  streams.out.flush();
  if (status.ok() && !streams.out) {
    streams.err << "ckptctl: cannot write to standard output\n";
    return kError;
  }
  return ExitCodeOf(status);
}

}  // namespace ckpt::ctl
