// crash_trainer: trains nothing, but reports the events and hands over the bytes of a Plan, and
// writes down what it has been told. It goes on until SIGTERM or, with --epochs, to the end.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "ckpt/run.h"
#include "tests/crash/journal.h"
#include "tests/crash/plan.h"

namespace ckpt::crash {
namespace {

// Exit codes.
constexpr int kFailed = 1;  // an event failed, or the last Flush
constexpr int kFenced = 3;  // another process has the run

std::atomic<bool> g_terminated = false;

struct Flags {
  std::string server;
  std::string run;
  std::string way = "asked";
  std::string journal;
  int process = 1;
  int64_t first_epoch = 0;
  int64_t epochs = -1;
  int64_t flush_every = 1;
  int patience = 600;
};

std::vector<PartBytes> PartsOf(const Plan& plan, const Moment& moment) {
  std::vector<PartBytes> parts;
  for (const std::string& part : plan.parts) {
    parts.push_back(PartBytes::Own(part, Content(plan, moment, part)));
  }
  return parts;
}

class Trainer {
 public:
  explicit Trainer(const Flags& flags)
      : flags_(flags), plan_(PlanOf(flags.run)), journal_(flags.journal, flags.process) {}

  absl::Status Train();

 private:
  absl::Status Start();
  absl::Status TrainEpoch(int64_t epoch);
  absl::Status Report(const Moment& moment);
  absl::StatusOr<v1::Decision> Send(const Moment& moment, std::string_view stage);
  absl::Status Flush();

  const Flags& flags_;
  const Plan plan_;
  JournalWriter journal_;
  std::unique_ptr<Run> run_;
};

absl::Status Trainer::Start() {
  RunOptions options;
  options.server = flags_.server;
  options.run = plan_.run;
  options.policies = plan_.policies;
  options.weights = [this](const v1::Checkpoint& save) -> absl::StatusOr<std::vector<PartBytes>> {
    return PartsOf(plan_, {save.epoch(), save.has_batch() ? save.batch() : -1});
  };
  options.reconnect_timeout = std::chrono::seconds(flags_.patience);
  options.shared_memory = flags_.way.starts_with("shared");
  options.notify = [](std::string_view) {};
  auto run = Run::Start(std::move(options));
  if (run.ok()) run_ = *std::move(run);
  return run.status();
}

absl::Status Trainer::Train() {
  absl::Status status = Start();
  if (status.ok()) status = run_->OnTrainBegin();
  for (int64_t epoch = flags_.first_epoch;
       status.ok() && !g_terminated && epoch != flags_.first_epoch + flags_.epochs; ++epoch) {
    status = TrainEpoch(epoch);
  }
  if (status.ok()) status = run_->OnTrainEnd();
  if (status.ok()) status = Flush();
  if (status.ok()) status = run_->Close();
  if (!status.ok()) journal_.Failed(status.ToString());
  return status;
}

absl::Status Trainer::TrainEpoch(int64_t epoch) {
  absl::Status status = run_->OnEpochBegin(epoch);
  for (int64_t batch = 0; status.ok() && batch < plan_.batches; ++batch) {
    status = Report({epoch, batch});
  }
  if (status.ok()) status = Report({epoch});
  if (!status.ok() || (epoch + 1) % flags_.flush_every != 0) return status;
  // A save that failed is no reason to stop training; a daemon that is gone for good, is.
  if (const absl::Status flushed = Flush(); absl::IsAborted(flushed)) return flushed;
  return absl::OkStatus();
}

absl::Status Trainer::Report(const Moment& moment) {
  std::string stage;
  if (flags_.way.ends_with("staged")) {
    auto staged = run_->Stage(PartsOf(plan_, moment));
    if (staged.ok()) stage = *std::move(staged);
    if (absl::IsAborted(staged.status())) return staged.status();
  }
  journal_.Begin(moment);
  const absl::StatusOr<v1::Decision> decision = Send(moment, stage);
  if (!decision.ok()) return decision.status();
  journal_.Decided(moment, *decision);
  return absl::OkStatus();
}

absl::StatusOr<v1::Decision> Trainer::Send(const Moment& moment, std::string_view stage) {
  const std::vector<Metric> logs = {{"val_loss", ValLoss(plan_, moment)},
                                    {"slot", Slot(plan_, moment)}};
  return moment.is_epoch_end() ? run_->OnEpochEnd(moment.epoch, logs, stage)
                               : run_->OnBatchEnd(moment.batch, logs, stage);
}

absl::Status Trainer::Flush() {
  absl::Status flushed = run_->Flush();
  if (flushed.ok()) {
    journal_.Durable();
  } else {
    journal_.Failed(flushed.ToString());
  }
  return flushed;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("A trainer whose every byte is known beforehand.");
  app.add_option("--server", flags.server)->required();
  app.add_option("--run", flags.run)->required();
  app.add_option("--way", flags.way,
                 "How bytes are handed over: when asked for or before, by gRPC or in shared memory")
      ->check(CLI::IsMember({"asked", "staged", "shared", "shared-staged"}));
  app.add_option("--journal", flags.journal)->required();
  app.add_option("--process", flags.process, "Number of this process in the journal");
  app.add_option("--first-epoch", flags.first_epoch);
  app.add_option("--epochs", flags.epochs, "How many; else until SIGTERM");
  app.add_option("--flush-every", flags.flush_every, "Epochs from one Flush to the next");
  app.add_option("--patience", flags.patience, "Seconds to wait for a daemon that is gone");
  CLI11_PARSE(app, argc, argv);

  signal(SIGTERM, [](int) { g_terminated = true; });
  const absl::Status status = Trainer(flags).Train();
  if (status.ok()) return 0;
  std::fprintf(stderr, "crash_trainer %s: %s\n", flags.run.c_str(), status.ToString().c_str());
  return absl::IsAborted(status) ? kFenced : kFailed;
}

}  // namespace
}  // namespace ckpt::crash

int main(int argc, char** argv) { return ckpt::crash::Main(argc, argv); }
