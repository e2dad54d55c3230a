// crash_call_sweep: makes each file call of a save, of an overwrite and of a recovery fail in turn.
//
// A scenario is played once under strace to count the daemon's file calls. Then, on a copy of the
// same data folder, once for each of them: the daemon is killed at the call, or the call fails with
// EIO or ENOSPC. The daemon then runs again, undisturbed, and is compared with what the trainer had
// been told. One disk thread, so that calls come in the same order each time.
#include <poll.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/crash/checker.h"
#include "tests/crash/fleet.h"
#include "tests/crash/journal.h"
#include "tests/crash/tracer.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/scratch_folder.h"

namespace ckpt::crash {
namespace {

namespace fs = std::filesystem;
using integration::DaemonProcess;
using integration::Process;
using integration::ScratchFolder;

constexpr int kTrainSeconds = 60;
constexpr int kKillSeconds = 5;      // until a kill is through
constexpr int kPatienceSeconds = 2;  // of a trainer whose daemon is gone

enum class Crashed { kNever, kBeforeTheIndexKnows, kBeforeTheNameIsThere };

struct Scenario {
  const char* name;
  int epochs_before = 0;
  Crashed crashed = Crashed::kNever;  // what is disturbed is the recovery from that
  const char* way = "asked";          // of the trainer
};
constexpr std::array kScenarios = {
    Scenario{"first save"},
    Scenario{"overwrite", 6},
    Scenario{"overwrite from shared memory", 6, Crashed::kNever, "shared"},
    Scenario{"recovery of a published save", 6, Crashed::kBeforeTheIndexKnows},
    Scenario{"recovery of a name and a deletion", 6, Crashed::kBeforeTheNameIsThere},
};
constexpr std::array kEffects = {"signal=KILL", "error=EIO", "error=ENOSPC"};

struct Flags {
  int every = 1;
  int offset = 0;
};

class Sweep {
 public:
  explicit Sweep(const Flags& flags) : flags_(flags) {
    std::ofstream(folder_ / "ckptd.yaml") << "limits: {io_threads: 1}\n";
  }

  bool Run();

 private:
  bool RunScenario(const Scenario& scenario);
  // Makes the data folder that the scenario begins with.
  std::string Prepare(const Scenario& scenario);
  std::string Crash(const Injection& point);
  std::map<std::string, int> Count(const Scenario& scenario);
  std::string Inject(const Scenario& scenario, const Injection& injection);
  void Disturb(const Injection* injection);
  void DisturbRecovery(const Injection* injection);
  void TrainOneEpoch();
  std::string Check(bool with_names);

  void Keep() const { Copy("", ".kept"); }
  void Restore() const { Copy(".kept", ""); }
  void Copy(const std::string& from, const std::string& to) const;

  const Flags& flags_;
  const ScratchFolder folder_;
  DaemonProcess daemon_{folder_, {"--config", folder_ / "ckptd.yaml"}};
  const Plan plan_ = PlanOf("ring-0");
  const std::string journal_ = folder_ / "journal";
  const std::string trace_ = folder_ / "trace";
  std::string way_;
  int injections_ = 0;  // tried
  int hits_ = 0;        // that came to pass
  int possible_ = 0;
};

bool Sweep::Run() {
  for (const Scenario& scenario : kScenarios) {
    if (!RunScenario(scenario)) return false;
  }
  std::printf("%d of %d injections, %d came to pass: 0 lost, 0 torn, 0 doubled\n", injections_,
              possible_, hits_);
  return hits_ > 0;
}

bool Sweep::RunScenario(const Scenario& scenario) {
  way_ = scenario.way;
  if (const std::string wrong = Prepare(scenario); !wrong.empty()) {
    std::printf("%s cannot be prepared:\n%s", scenario.name, wrong.c_str());
    return false;
  }
  const std::map<std::string, int> calls = Count(scenario);
  int total = 0;
  for (const auto& [call, count] : calls) total += count;
  std::printf("%s: %d file calls\n", scenario.name, total);
  std::fflush(stdout);
  for (const char* effect : kEffects) {
    for (const auto& [call, count] : calls) {
      for (int nth = 1; nth <= count; ++nth) {
        if (possible_++ % flags_.every != flags_.offset) continue;
        const Injection injection{.call = call, .nth = nth, .effect = effect};
        const std::string wrong = Inject(scenario, injection);
        if (wrong.empty()) continue;
        std::printf("%s, %s:\n%s", scenario.name, Text(injection).c_str(), wrong.c_str());
        return false;
      }
    }
  }
  return true;
}

std::string Sweep::Prepare(const Scenario& scenario) {
  fs::remove_all(daemon_.data_dir());
  fs::remove(journal_);
  if (!daemon_.Start()) return "ckptd does not start\n";
  for (int epoch = 0; epoch < scenario.epochs_before; ++epoch) TrainOneEpoch();
  daemon_.Kill();
  Keep();
  if (scenario.crashed == Crashed::kNever) return "";

  Injection point{.call = "linkat", .nth = 1, .effect = "signal=KILL"};
  if (scenario.crashed == Crashed::kBeforeTheIndexKnows) {
    if (!daemon_.Start()) return "ckptd does not start\n";
    Disturb(nullptr);
    daemon_.Kill();
    point = KillAfterPublish(trace_);
    Restore();
  }
  if (!daemon_.Start()) return "ckptd does not start\n";
  Disturb(&point);
  if (!EndsWithin(daemon_.process(), 0)) return "ckptd survived " + Text(point) + '\n';
  daemon_.Kill();
  Keep();
  return "";
}

std::map<std::string, int> Sweep::Count(const Scenario& scenario) {
  Restore();
  if (scenario.crashed == Crashed::kNever) {
    daemon_.Start();
    Disturb(nullptr);
  } else {
    DisturbRecovery(nullptr);
  }
  daemon_.Kill();
  return CountCalls(trace_);
}

std::string Sweep::Inject(const Scenario& scenario, const Injection& injection) {
  ++injections_;
  Restore();
  if (scenario.crashed != Crashed::kNever) {
    DisturbRecovery(&injection);
  } else {
    if (!daemon_.Start()) return "ckptd does not start\n";
    Disturb(&injection);
    // A name that could not be made is an error of its own; the next start makes it.
    // RocksDB's assertions end the daemon at some errors, which is one more crash.
    if (injection.effect != kEffects[0] && !EndsWithin(daemon_.process(), 0)) {
      if (std::string wrong = Check(false); !wrong.empty()) return "before a restart:\n" + wrong;
    }
  }
  const bool came_to_pass =
      injection.effect == kEffects[0] ? EndsWithin(daemon_.process(), 0) : HasFailedCall(trace_);
  if (came_to_pass) ++hits_;
  daemon_.Kill();
  if (!daemon_.Start()) return "ckptd does not start again\n";
  std::string wrong = Check(true);
  // And it goes on.
  if (wrong.empty()) {
    TrainOneEpoch();
    wrong = Check(true);
  }
  daemon_.Kill();
  return wrong;
}

// One epoch, traced; until the trainer is done or the daemon killed.
void Sweep::Disturb(const Injection* injection) {
  fs::remove(trace_);
  const std::unique_ptr<Process> tracer = Attach(daemon_.process().pid(), trace_, injection);
  TrainOneEpoch();
  // Deletions follow the answer, on the one disk thread that GetStatus waits for.
  if (injection != nullptr && injection->effect == kEffects[0]) {
    EndsWithin(daemon_.process(), kKillSeconds);
  } else {
    Client({.server = daemon_.server()}).GetStatus().status().IgnoreError();
  }
  tracer->Signal(SIGTERM);
  tracer->Wait();
}

// A start, traced. It may fail.
void Sweep::DisturbRecovery(const Injection* injection) {
  fs::remove(trace_);
  integration::Launch launch;
  launch.wrapper = TraceFromStart(trace_, injection);
  daemon_.Start(launch);
}

void Sweep::TrainOneEpoch() {
  integration::Command command;
  command.argv = {CRASH_TRAINER_BINARY,
                  "--server",
                  daemon_.server(),
                  "--run",
                  plan_.run,
                  "--way",
                  way_,
                  "--journal",
                  journal_,
                  "--process",
                  std::to_string(ReadJournal(journal_).newest_process + 1),
                  "--first-epoch",
                  std::to_string(ReadJournal(journal_).next_epoch()),
                  "--epochs",
                  "1",
                  "--patience",
                  std::to_string(kPatienceSeconds)};
  command.stderr_path = folder_ / "trainer.log";
  Process trainer(command);
  std::array<pollfd, 2> ends = {
      pollfd{.fd = trainer.exit_descriptor(), .events = POLLIN, .revents = 0},
      pollfd{.fd = daemon_.process().exit_descriptor(), .events = POLLIN, .revents = 0}};
  poll(ends.data(), ends.size(), kTrainSeconds * 1000);
}

std::string Sweep::Check(bool with_names) {
  Client client({.server = daemon_.server()});
  std::string wrong;
  for (const Violation& violation :
       CheckRun(client, daemon_.data_dir(), plan_, ReadJournal(journal_))) {
    if (with_names || violation.broken != Broken::kVisible) wrong += Text({violation});
  }
  return wrong;
}

// Hard links stay hard links.
void Sweep::Copy(const std::string& from, const std::string& to) const {
  for (const std::string& path : {daemon_.data_dir(), journal_}) {
    fs::remove_all(path + to);
    if (!fs::exists(path + from)) continue;
    integration::RunToEnd(
        {.argv = {"/bin/cp", "-a", path + from, path + to}, .environment = {}, .stderr_path = ""});
  }
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Makes each file call of ckptd fail in turn, and checks what it had promised.");
  app.add_option("--every", flags.every, "Only one in so many calls")->check(CLI::PositiveNumber);
  app.add_option("--offset", flags.offset, "Which of them, from 0");
  CLI11_PARSE(app, argc, argv);
  Sweep sweep(flags);
  if (sweep.Run()) return 0;
  std::fflush(stdout);
  std::_Exit(1);  // keeps the folder
}

}  // namespace
}  // namespace ckpt::crash

int main(int argc, char** argv) { return ckpt::crash::Main(argc, argv); }
