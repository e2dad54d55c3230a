// crash_kill_rounds: kills a daemon and its trainers, again and again, on one data folder.
//
// One round: the daemon is started and, while its trainers are stopped, compared with what they had
// been told. Then they go on, or are started anew, until the round's schedule has killed the
// daemon: at a random moment or at a system call of a commit. Trainers are killed, stopped and
// fenced meanwhile. What is visible is checked once more before the next start.
#include <poll.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "tests/crash/fleet.h"
#include "tests/crash/schedule.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/scratch_folder.h"

namespace ckpt::crash {
namespace {

using integration::DaemonProcess;
using integration::ScratchFolder;

// After so many rounds the trainers come to their end, and other runs take their place.
constexpr int kRoundsOfGeneration = 20;
constexpr int kEndSeconds = 5;

struct Flags {
  int rounds = 50;
  uint64_t seed = std::random_device()();
  std::vector<std::string> ways = Ways();
};

class KillRounds {
 public:
  explicit KillRounds(const Flags& flags) : flags_(flags), daemon_(folder_) {}

  // Whether every promise was kept.
  bool Run();

 private:
  bool RunRound(const Round& round);
  bool StartDaemon(const Round& round);
  // Until the daemon has ended.
  void Disturb(const Round& round);
  void Take(const Step& step);
  // Of the running daemon. A connection that has seen the one before fails for a while.
  Violations Check() {
    Client client({.server = daemon_.server()});
    return fleet_->Check(&client, daemon_.data_dir());
  }
  bool EndGeneration();
  bool Complain(const std::string& what);

  const Flags& flags_;
  const ScratchFolder folder_;
  DaemonProcess daemon_;
  std::unique_ptr<Fleet> fleet_;
  int trainers_killed_ = 0;
  int killed_at_points_ = 0;
  int killed_in_starts_ = 0;
  int64_t durable_saves_ = 0;  // of earlier generations
};

bool KillRounds::Run() {
  std::printf("%d rounds, seed %llu\n", flags_.rounds,
              static_cast<unsigned long long>(flags_.seed));
  std::fflush(stdout);
  for (int number = 0; number < flags_.rounds; ++number) {
    if (number % kRoundsOfGeneration == 0) {
      if (fleet_ != nullptr && !EndGeneration()) return false;
      fleet_ = std::make_unique<Fleet>(folder_, daemon_.server(), number / kRoundsOfGeneration);
    }
    const Round round = RoundOf(flags_.seed, number, fleet_->size(), flags_.ways);
    if (!RunRound(round)) {
      std::printf("in round %d of seed %llu:\n%s", number,
                  static_cast<unsigned long long>(flags_.seed), Text(round).c_str());
      return false;
    }
  }
  if (!EndGeneration()) return false;
  std::printf(
      "%d kills of the daemon (%d at system calls, %d of them while it started), %d of trainers, "
      "%lld saves acknowledged: 0 lost, 0 torn, 0 doubled\n",
      flags_.rounds, killed_at_points_, killed_in_starts_, trainers_killed_,
      static_cast<long long>(durable_saves_));
  return true;
}

bool KillRounds::RunRound(const Round& round) {
  if (!StartDaemon(round)) return Complain("ckptd does not start\n");
  if (EndsWithin(daemon_.process(), 0)) {
    // Killed before it could be asked; the next round will.
    return true;
  }
  const Violations found = Check();
  // Unless it was killed under the questions; a tracer takes its time to let it go.
  if (!found.empty() && !EndsWithin(daemon_.process(), round.point.has_value() ? kEndSeconds : 0)) {
    return Complain(Text(found));
  }
  fleet_->ContinueAll();
  for (size_t run = 0; run < fleet_->size(); ++run) {
    if (!fleet_->HasTrainer(run)) fleet_->Start(run, round.styles[run]);
  }
  Disturb(round);
  fleet_->StopAll();
  const Violations visible = fleet_->Check(nullptr, daemon_.data_dir());
  return visible.empty() || Complain(Text(visible));
}

bool KillRounds::StartDaemon(const Round& round) {
  if (!round.point.has_value()) return daemon_.Start();
  const std::string& call = round.point->call;
  integration::Launch launch;
  launch.wrapper = {STRACE_BINARY,
                    "-D",
                    "-f",

                    "-qqq",
                    "-o",
                    "/dev/null",
                    "-e",
                    "trace=" + call,
                    "-e",
                    "inject=" + call + ":signal=KILL:when=" + std::to_string(round.point->nth)};
  if (daemon_.Start(launch)) return true;
  ++killed_at_points_;
  ++killed_in_starts_;
  return daemon_.Start();
}

void KillRounds::Disturb(const Round& round) {
  const auto begin = std::chrono::steady_clock::now();
  // False when the daemon ends before that.
  const auto await = [&](int at) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        begin + std::chrono::milliseconds(at) - std::chrono::steady_clock::now());
    pollfd ended = {.fd = daemon_.process().exit_descriptor(), .events = POLLIN, .revents = 0};
    return poll(&ended, 1, std::max(0, static_cast<int>(left.count()))) == 0;
  };
  for (const Step& step : round.steps) {
    if (step.at >= round.kill_at || !await(step.at)) break;
    Take(step);
  }
  if (!await(round.kill_at)) ++killed_at_points_;
  daemon_.Kill();
}

void KillRounds::Take(const Step& step) {
  switch (step.act) {
    case Step::Act::kKillTrainer:
      ++trainers_killed_;
      return fleet_->Kill(step.run);
    case Step::Act::kStopTrainer:
      return fleet_->Signal(step.run, SIGSTOP);
    case Step::Act::kContinueTrainer:
      return fleet_->Signal(step.run, SIGCONT);
    case Step::Act::kFenceTrainer:
      return fleet_->Fence(step.run, step.style);
    case Step::Act::kStopDaemon:
      return daemon_.process().Signal(SIGSTOP);
    case Step::Act::kContinueDaemon:
      return daemon_.process().Signal(SIGCONT);
  }
}

bool KillRounds::EndGeneration() {
  if (!daemon_.Start()) return Complain("ckptd does not start\n");
  fleet_->ContinueAll();
  if (const std::string wrong = fleet_->Finish(); !wrong.empty()) return Complain(wrong);
  if (const Violations found = Check(); !found.empty()) {
    return Complain(Text(found));
  }
  durable_saves_ += fleet_->durable_saves();
  Client client({.server = daemon_.server()});
  if (const std::string wrong = fleet_->DeleteRuns(client, daemon_.data_dir()); !wrong.empty()) {
    return Complain(wrong);
  }
  return daemon_.Stop() == 0 || Complain("ckptd does not stop in good order\n");
}

bool KillRounds::Complain(const std::string& what) {
  std::printf("%sdata folder, journals and logs are kept in %s\n", what.c_str(),
              (folder_ / "").c_str());
  return false;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Kills ckptd and its trainers, and checks what they had been promised.");
  app.add_option("--rounds", flags.rounds)->capture_default_str();
  app.add_option("--seed", flags.seed, "Of the schedule; the default is another each time");
  app.add_option("--way", flags.ways, "How trainers hand over bytes; repeatable")
      ->check(CLI::IsMember(Ways()))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  KillRounds rounds(flags);
  if (rounds.Run()) return 0;
  std::fflush(stdout);
  std::_Exit(1);  // keeps the folder
}

}  // namespace
}  // namespace ckpt::crash

int main(int argc, char** argv) { return ckpt::crash::Main(argc, argv); }
