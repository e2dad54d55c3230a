#include <fmt/format.h>

#include <CLI/App.hpp>
#include <memory>
#include <optional>

#include "client/ckptctl/commands/commands.h"
#include "client/ckptctl/interrupt.h"
#include "client/ckptctl/progress_bar.h"
#include "client/ckptctl/target.h"
#include "client/ckptctl/text.h"
#include "client/ckptctl/views.h"
#include "storage/base/names.h"

namespace ckpt::ctl {
namespace {

struct Options {
  std::string run;
  std::string from;
  bool repair = false;
  int rate = 0;
};

absl::StatusOr<v1::VerifyRequest> RequestOf(const Options& options) {
  v1::VerifyRequest request;
  request.set_repair(options.repair);
  request.set_mib_per_second(options.rate);
  if (!options.run.empty()) {
    const absl::StatusOr<Target> target = ParseTarget(options.run);
    if (!target.ok()) return target.status();
    if (!target->id.empty()) return absl::InvalidArgumentError("verify takes a run");
    request.set_run(RunName(target->run));
  }
  if (!options.from.empty()) {
    const absl::StatusOr<Target> target = ParseTarget(options.from);
    if (!target.ok()) return target.status();
    request.set_after(CheckpointName(target->run, target->id));
  }
  return request;
}

// The command line that goes on after a checkpoint.
std::string Continuation(const Options& options, const std::string& position) {
  return fmt::format("'ckptctl verify{}{}{} --from {}'", options.run.empty() ? "" : " ",
                     options.run, options.repair ? " --repair" : "", TargetOfCheckpoint(position));
}

class Verification {
 public:
  Verification(const Context& context, const Options& options)
      : context_(context),
        options_(options),
        printer_(context.format, DamageView(), context.streams.out) {
    if (context.streams.err_is_terminal) bar_.emplace(context.streams.err, "verify");
  }

  void Take(const v1::VerifyResponse& response) {
    for (const v1::Damage& damage : response.damages()) {
      printer_.Print(damage);
      ++found_;
      repaired_ += damage.repaired() ? 1 : 0;
    }
    if (bar_) bar_->Update(response.bytes(), response.total_bytes());
    if (!response.position().empty() && response.position() != newest_.position()) {
      interrupt_.reset();
      interrupt_.emplace(fmt::format("\nckptctl: interrupted; {} goes on\n",
                                     Continuation(options_, response.position())));
    }
    newest_ = response;
  }

  absl::Status End(const absl::Status& status) {
    interrupt_.reset();
    bar_.reset();
    if (status.ok() || found_ > 0) printer_.Finish();
    std::ostream& err = context_.streams.err;
    if (!status.ok()) {
      if (!newest_.position().empty()) {
        err << fmt::format("ckptctl: {} goes on\n", Continuation(options_, newest_.position()));
      }
      return status;
    }
    err << fmt::format("verified {} checkpoints, {}: {} damages, {} repaired\n",
                       newest_.checkpoints(), HumanBytes(newest_.bytes()), found_, repaired_);
    if (found_ == repaired_) return absl::OkStatus();
    return absl::DataLossError(
        fmt::format("{} damages remain{}", found_ - repaired_,
                    options_.repair ? "; delete those checkpoints, or restore them from a backup"
                                    : "; --repair repairs what it can"));
  }

 private:
  const Context& context_;
  const Options& options_;
  ListPrinter<v1::Damage> printer_;
  std::optional<ProgressBar> bar_;
  std::optional<InterruptMessage> interrupt_;
  v1::VerifyResponse newest_;
  int64_t found_ = 0;
  int64_t repaired_ = 0;
};

absl::Status Verify(const Context& context, const Options& options) {
  const absl::StatusOr<v1::VerifyRequest> request = RequestOf(options);
  if (!request.ok()) return request.status();
  Client client = context.Connect();
  Verification verification(context, options);
  const absl::Status status = client.Verify(
      *request, [&](const v1::VerifyResponse& response) { verification.Take(response); });
  return verification.End(status);
}

}  // namespace

void AddVerifyCommand(CLI::App& app, Context& context) {
  CLI::App* verify =
      app.add_subcommand("verify", "Check every stored byte, and list what is damaged");
  const auto options = std::make_shared<Options>();
  verify->add_option("RUN", options->run, "The run; all of them when left out");
  verify->add_flag("--repair", options->repair,
                   "Repair what can be repaired, mark as damaged what cannot");
  verify->add_option("--from", options->from, "Go on after this checkpoint, RUN@ID");
  verify->add_option("--rate", options->rate, "MiB to read in a second; default: the daemon's")
      ->check(CLI::Range(1, 1000000).description(""));
  verify->footer(
      "Exits with 5 when damage is found that is not repaired.\n"
      "Examples:\n"
      "  ckptctl verify\n"
      "  ckptctl verify digits --repair --rate 200\n"
      "  ckptctl -o json verify --from digits@12");
  verify->callback([&context, options] {
    context.command = [&context, options] { return Verify(context, *options); };
  });
}

}  // namespace ckpt::ctl
