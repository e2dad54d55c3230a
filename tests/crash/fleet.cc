#include "tests/crash/fleet.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>

#include <filesystem>
#include <utility>

namespace ckpt::crash {
namespace {

// A trainer that has not ended by then never will.
constexpr int kEndSeconds = 120;
// Exit codes of a trainer: another process has the run, and SIGTERM came before it could say that
// it waits for it.
constexpr int kFenced = 3;
constexpr int kNotYetStarted = 128 + SIGTERM;
// Epochs that a fenced trainer may still report: its successor begins after them.
constexpr int64_t kEpochsOfFenced = 50;

}  // namespace

const std::vector<std::string>& Ways() {
  static const auto* const kWays =
      new std::vector<std::string>{"asked", "staged", "shared", "shared-staged"};
  return *kWays;
}

Style AnyStyle(std::mt19937_64& random, const std::vector<std::string>& ways) {
  return {.way = ways[random() % ways.size()], .flush_every = 1 + static_cast<int>(random() % 4)};
}

Fleet::Fleet(const integration::ScratchFolder& folder, std::string server, int generation)
    : folder_(folder), server_(std::move(server)) {
  for (const std::string& kind : Kinds()) {
    Trainee& trainee = runs_.emplace_back();
    trainee.plan = PlanOf(fmt::format("{}-{}", kind, generation));
    trainee.journal = folder_ / (trainee.plan.run + ".journal");
  }
}

void Fleet::Start(size_t run, const Style& style) {
  Trainee& trainee = runs_[run];
  const int64_t first =
      ReadJournal(trainee.journal).next_epoch() + (trainee.fenced.empty() ? 0 : kEpochsOfFenced);
  integration::Command command;
  command.argv = {CRASH_TRAINER_BINARY,
                  "--server",
                  server_,
                  "--run",
                  trainee.plan.run,
                  "--way",
                  style.way,
                  "--journal",
                  trainee.journal,
                  "--process",
                  std::to_string(++trainee.processes),
                  "--first-epoch",
                  std::to_string(first),
                  "--flush-every",
                  std::to_string(style.flush_every)};
  command.stderr_path = folder_ / "trainers.log";
  trainee.trainer = std::make_unique<integration::Process>(command);
}

void Fleet::Kill(size_t run) { runs_[run].trainer.reset(); }

void Fleet::Signal(size_t run, int number) {
  if (runs_[run].trainer != nullptr) runs_[run].trainer->Signal(number);
}

void Fleet::Fence(size_t run, const Style& style) {
  const int newest = ReadJournal(runs_[run].journal).newest_process;
  if (!HasTrainer(run) || newest != runs_[run].processes) return;
  Signal(run, SIGSTOP);
  runs_[run].fenced[runs_[run].processes] = std::move(runs_[run].trainer);
  Start(run, style);
}

void Fleet::StopAll() {
  for (size_t run = 0; run < size(); ++run) {
    Signal(run, SIGSTOP);
    for (const auto& [number, process] : runs_[run].fenced) process->Signal(SIGSTOP);
  }
}

void Fleet::ContinueAll() {
  for (size_t run = 0; run < size(); ++run) {
    Signal(run, SIGCONT);
    const int newest = ReadJournal(runs_[run].journal).newest_process;
    for (const auto& [number, process] : runs_[run].fenced) {
      if (number < newest) process->Signal(SIGCONT);
    }
  }
}

void Fleet::KillAll() {
  for (Trainee& trainee : runs_) {
    trainee.trainer.reset();
    trainee.fenced.clear();
  }
}

std::string Fleet::Finish() {
  std::string wrong;
  const auto expect = [&](integration::Process& process, const std::string& who, int exit_code) {
    if (!EndsWithin(process, kEndSeconds)) {
      wrong += fmt::format("{} does not come to its end\n", who);
    } else if (const int code = process.Wait(); code != exit_code && code != kNotYetStarted) {
      wrong += fmt::format("{} ended with {} instead of {}\n", who, code, exit_code);
    }
  };
  for (const Trainee& trainee : runs_) {
    if (trainee.trainer != nullptr) trainee.trainer->Signal(SIGTERM);
  }
  for (Trainee& trainee : runs_) {
    if (trainee.trainer != nullptr) expect(*trainee.trainer, "trainer of " + trainee.plan.run, 0);
    const int newest = ReadJournal(trainee.journal).newest_process;
    for (const auto& [number, process] : trainee.fenced) {
      process->Signal(SIGCONT);
      // Its successor may have ended before it could take the run over.
      if (number >= newest) process->Signal(SIGTERM);
      const bool may_end_well =
          number >= newest && EndsWithin(*process, kEndSeconds) && process->Wait() == 0;
      if (!may_end_well) expect(*process, "fenced trainer of " + trainee.plan.run, kFenced);
    }
  }
  KillAll();
  return wrong;
}

Violations Fleet::Check(Client* client, const std::string& data_dir) const {
  for (const Trainee& trainee : runs_) {
    const Expected expected = ReadJournal(trainee.journal);
    Violations violations = client != nullptr ? CheckRun(*client, data_dir, trainee.plan, expected)
                                              : CheckNames(data_dir, trainee.plan, expected);
    if (!violations.empty()) return violations;
  }
  return {};
}

std::string Fleet::DeleteRuns(Client& client, const std::string& data_dir) {
  for (const Trainee& trainee : runs_) {
    const std::string& run = trainee.plan.run;
    const absl::Status deleted = client.DeleteRun(run);
    if (!deleted.ok()) return fmt::format("{} cannot be deleted: {}\n", run, deleted.ToString());
    if (!absl::IsNotFound(client.GetRun(run).status())) return run + " is still there\n";
    if (std::filesystem::exists(data_dir + "/runs/" + run)) return run + " still has files\n";
  }
  return "";
}

int64_t Fleet::durable_saves() const {
  int64_t saves = 0;
  for (const Trainee& trainee : runs_) saves += ReadJournal(trainee.journal).durable_saves;
  return saves;
}

bool EndsWithin(integration::Process& process, int seconds) {
  pollfd descriptor = {.fd = process.exit_descriptor(), .events = POLLIN, .revents = 0};
  return poll(&descriptor, 1, seconds * 1000) == 1;
}

}  // namespace ckpt::crash
