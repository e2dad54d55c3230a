#include <fmt/format.h>

#include <CLI/App.hpp>
#include <limits>
#include <memory>
#include <optional>

#include "client/ckptctl/commands/commands.h"
#include "client/ckptctl/interrupt.h"
#include "client/ckptctl/progress_bar.h"
#include "client/ckptctl/target.h"
#include "client/ckptctl/text.h"
#include "storage/base/errors.h"

namespace ckpt::ctl {
namespace {

struct Options {
  std::string target;
  std::string path;
  std::string part;
  int rank = 0;
};

// RUN alone means the best checkpoint; where nothing ranks them, the latest.
absl::StatusOr<v1::Checkpoint> Resolve(const Context& context, Client& client,
                                       const Target& target) {
  if (!target.id.empty()) return client.GetCheckpoint(target.run, target.id);
  absl::StatusOr<v1::Checkpoint> best = client.GetCheckpoint(target.run, "best");
  if (best.ok() || ReasonOf(best.status()) != v1::ERROR_REASON_ALIAS_UNRESOLVED) return best;
  absl::StatusOr<v1::Checkpoint> latest = client.GetCheckpoint(target.run, "latest");
  if (latest.ok()) {
    context.streams.err << fmt::format("ckptctl: {}; taking the latest, {}\n",
                                       MessageOf(best.status()),
                                       TargetOfCheckpoint(latest->name()));
  }
  return latest;
}

absl::Status Fetch(const Context& context, const Options& options) {
  const absl::StatusOr<Target> target = ParseTarget(options.target);
  if (!target.ok()) return target.status();
  Client client = context.Connect();
  const absl::StatusOr<v1::Checkpoint> checkpoint = Resolve(context, client, *target);
  if (!checkpoint.ok()) return checkpoint.status();
  const std::string name = TargetOfCheckpoint(checkpoint->name());
  const std::string id = name.substr(name.find('@') + 1);

  FetchOptions fetch{.rank = options.rank, .part = options.part, .progress = {}};
  std::optional<ProgressBar> bar;
  if (context.streams.err_is_terminal) {
    bar.emplace(context.streams.err, name);
    fetch.progress = [&](int64_t done, int64_t total) { bar->Update(done, total); };
  }
  const InterruptMessage on_interrupt(
      fmt::format("\nckptctl: interrupted; 'ckptctl fetch {} -o {}' goes on from {}.part\n", name,
                  options.path, options.path));
  const absl::StatusOr<v1::Checkpoint> fetched = client.Fetch(target->run, id, options.path, fetch);
  bar.reset();
  if (!fetched.ok()) return fetched.status();
  context.streams.err << fmt::format("fetched {} to {} ({})\n", name, Escaped(options.path),
                                     HumanBytes(fetched->size()));
  return absl::OkStatus();
}

}  // namespace

void AddFetchCommand(CLI::App& app, Context& context) {
  CLI::App* fetch = app.add_subcommand("fetch", "Download a checkpoint and verify it");
  const auto options = std::make_shared<Options>();
  fetch->add_option("RUN[@ID]", options->target, "A checkpoint; RUN alone means its best")
      ->required();
  fetch
      ->add_option("-o,--output", options->path,
                   "Where to write it: a file, or a new folder for several parts")
      ->required();
  fetch->add_option("--part", options->part, "Only this part; default: all of the rank");
  fetch->add_option("--rank", options->rank, "Rank whose parts to fetch")
      ->check(CLI::Range(0, std::numeric_limits<int>::max()).description(""))
      ->capture_default_str();
  fetch->footer(
      "Writes PATH.part first, and goes on with one that an interrupted fetch has left. PATH "
      "appears\n"
      "when everything is there, verified and synced. --timeout does not limit the download.\n"
      "Examples:\n"
      "  ckptctl fetch digits -o best.safetensors\n"
      "  ckptctl fetch digits@latest -o latest.safetensors\n"
      "  ckptctl fetch digits@12 --part optimizer -o optimizer.bin");
  fetch->callback([&context, options] {
    context.command = [&context, options] { return Fetch(context, *options); };
  });
}

}  // namespace ckpt::ctl
