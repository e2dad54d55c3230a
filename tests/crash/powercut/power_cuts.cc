// crash_power_cuts: cuts the power of the disk under a daemon while its trainers save.
//
// One cut: the disk is mounted, its names are looked at, the daemon is started and compared with
// what its trainers had been told. New trainers save until the power is cut; everything is killed.
// The next cut goes on with the same disk, so that recovery is cut short, too.
#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/crash/fleet.h"
#include "tests/crash/powercut/disk.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/scratch_folder.h"

namespace ckpt::crash {
namespace {

using integration::DaemonProcess;
using integration::ScratchFolder;
using std::chrono::milliseconds;

// For ctest: what this machine cannot do is not passed, but skipped.
constexpr int kSkipped = 77;
// After so many cuts other runs take the place of the runs.
constexpr int kCutsOfGeneration = 20;
// Milliseconds.
constexpr int kLongestTraining = 500;  // after something has been acknowledged
constexpr int kLongestErrors = 60;
// Without an acknowledgement by then it is cut nevertheless.
constexpr std::chrono::seconds kLongestWait(20);

struct Flags {
  std::string file_system = "ext4";
  std::string mount_options;
  int cuts = 20;
  uint64_t seed = std::random_device()();
  std::vector<std::string> ways = Ways();
  bool write_errors = false;
  std::string syncs;  // see sync_shim.cc; empty: as they are
  bool expect_losses = false;
};

class PowerCuts {
 public:
  // The disks are small.
  explicit PowerCuts(const Flags& flags) : flags_(flags) {
    std::ofstream(folder_ / "ckptd.yaml") << "limits: {free_space_reserve_mib: 0}\n";
  }

  // Ends with the first cut after which something is wrong; says whether nothing was.
  bool Run();
  // Whether what was wrong is a broken promise, rather than the disk that could not be made.
  bool promise_broken() const { return promise_broken_; }

 private:
  std::string RunCut(std::mt19937_64& random);
  std::string Broken(const std::string& text);
  std::string MountAgain();
  std::string Mount();
  void BeginGeneration() {
    fleet_ = std::make_unique<Fleet>(folder_, daemon_.server(), generation_++);
  }
  // Of the running daemon.
  Violations Check() {
    Client client({.server = daemon_.server()});
    return fleet_->Check(&client, daemon_.data_dir());
  }
  void Train(std::mt19937_64& random);
  std::string EndGeneration();

  const Flags& flags_;
  const ScratchFolder folder_;
  Disk disk_{folder_, flags_.file_system, flags_.mount_options};
  DaemonProcess daemon_{folder_, {"--config", folder_ / "ckptd.yaml"}, disk_.path() + "/data"};
  std::unique_ptr<Fleet> fleet_;
  int generation_ = 0;
  int64_t durable_saves_ = 0;
  int64_t failures_ = 0;  // cuts before which the daemon had met a failed write
  int unmountable_ = 0;   // file systems that did not survive a cut
  bool promise_broken_ = false;
};

bool PowerCuts::Run() {
  std::string wrong;
  for (int cut = 0; cut <= flags_.cuts && wrong.empty(); ++cut) {
    if (cut % kCutsOfGeneration == 0 || cut == flags_.cuts) {
      if (fleet_ != nullptr) wrong = EndGeneration();
      BeginGeneration();
    }
    std::mt19937_64 random(flags_.seed * 1'000'003 + static_cast<uint64_t>(cut));
    if (wrong.empty() && cut < flags_.cuts) wrong = RunCut(random);
    if (!wrong.empty()) std::printf("at cut %d:\n%s", cut, wrong.c_str());
  }
  if (!wrong.empty()) {
    std::printf("image, journals and logs are in %s\n", (folder_ / "").c_str());
    return false;
  }
  std::printf(
      "%d cuts of %s (%lld after a write had failed), %lld saves acknowledged: 0 lost, 0 torn\n",
      flags_.cuts, flags_.file_system.c_str(), static_cast<long long>(failures_),
      static_cast<long long>(durable_saves_));
  if (unmountable_ > 0) {
    std::printf("%d times %s itself could not be mounted again, and was made anew\n", unmountable_,
                flags_.file_system.c_str());
  }
  if (!flags_.write_errors || failures_ > 0) return true;
  std::printf("the daemon met no failed write, so this proves nothing\n");
  return false;
}

// btrfs itself may fail: the replay of its log did once in 1,400 cuts (Linux 6.18: "Failed to
// recover log tree"). That says nothing about ckptd; more than a few are an error of the rig.
std::string PowerCuts::MountAgain() {
  std::string error = disk_.Mount();
  if (error.empty() || flags_.file_system != "btrfs" || fleet_->durable_saves() == 0) return error;
  if (++unmountable_ > 1 + flags_.cuts / 100) return error;
  disk_.Cut();
  disk_.Unmount();
  disk_.Format();
  BeginGeneration();
  return disk_.Mount();
}

std::string PowerCuts::RunCut(std::mt19937_64& random) {
  if (std::string wrong = Mount(); !wrong.empty()) return wrong;
  for (size_t run = 0; run < fleet_->size(); ++run) {
    fleet_->Start(run, AnyStyle(random, flags_.ways));
  }
  Train(random);
  // The computer loses its power with the disk. Were it to go on, what the file system answers
  // while it turns read-only would be tested as well.
  daemon_.process().Signal(SIGSTOP);
  disk_.Cut();
  daemon_.Kill();
  fleet_->KillAll();
  disk_.Unmount();
  return "";
}

std::string PowerCuts::Mount() {
  if (std::string error = MountAgain(); !error.empty()) return error;
  // The disk may have failed, with the power, between a commit and its name. The checkpoint is safe
  // then, and its name put in place at the start.
  Violations seen = fleet_->Check(nullptr, daemon_.data_dir());
  std::erase_if(seen, [](const Violation& each) { return each.broken == crash::Broken::kVisible; });
  if (!seen.empty()) return Broken("before ckptd was started:\n" + Text(seen));
  integration::Launch launch;
  if (!flags_.syncs.empty()) {
    launch.environment = {{"LD_PRELOAD", SYNC_SHIM}, {"CRASH_SYNCS", flags_.syncs}};
  }
  if (!daemon_.Start(launch)) return Broken("ckptd does not start:\n" + daemon_.log());
  return Broken(Text(Check()));
}

std::string PowerCuts::Broken(const std::string& text) {
  promise_broken_ = promise_broken_ || !text.empty();
  return text;
}

// A cut after an acknowledgement says more; one in eight comes at any time.
void PowerCuts::Train(std::mt19937_64& random) {
  const auto below = [&](int bound) {
    return milliseconds(random() % static_cast<uint64_t>(bound));
  };
  const bool at_any_time = random() % 8 == 0;
  const int64_t before = fleet_->durable_saves();
  const auto deadline = std::chrono::steady_clock::now() + kLongestWait;
  while (!at_any_time && fleet_->durable_saves() == before &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  std::this_thread::sleep_for(below(kLongestTraining));
  if (!flags_.write_errors) return;
  const size_t logged = daemon_.log().size();
  disk_.FailWrites(true);
  std::this_thread::sleep_for(milliseconds(1) + below(kLongestErrors));
  disk_.FailWrites(false);
  std::this_thread::sleep_for(below(kLongestTraining));
  if (daemon_.log().find(std::strerror(EIO), logged) != std::string::npos) ++failures_;
}

std::string PowerCuts::EndGeneration() {
  if (std::string wrong = Mount(); !wrong.empty()) return wrong;
  durable_saves_ += fleet_->durable_saves();
  Client client({.server = daemon_.server()});
  std::string wrong = fleet_->DeleteRuns(client, daemon_.data_dir());
  daemon_.Stop();
  disk_.Cut();
  disk_.Unmount();
  return wrong;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Cuts the power under ckptd, and checks what its trainers had been promised.");
  app.add_option("--file-system", flags.file_system)
      ->check(CLI::IsMember({"ext4", "xfs", "btrfs"}))
      ->capture_default_str();
  app.add_option("--mount-options", flags.mount_options, "More options for mount(8)");
  app.add_option("--cuts", flags.cuts)->capture_default_str();
  app.add_option("--seed", flags.seed, "Of the schedule; the default is another each time");
  app.add_option("--way", flags.ways, "How trainers hand over bytes; repeatable")
      ->check(CLI::IsMember(Ways()));
  app.add_flag("--write-errors", flags.write_errors, "Writes fail for a moment before each cut");
  app.add_option("--syncs", flags.syncs, "The daemon's syncs are broken on purpose")
      ->check(CLI::IsMember({"off", "retried"}));
  app.add_flag("--expect-losses", flags.expect_losses, "Succeed only if a promise is broken");
  CLI11_PARSE(app, argc, argv);
  if (const std::string missing = WhatIsMissing(flags.file_system); !missing.empty()) {
    std::printf("SKIPPED, no power was cut: %s\n", missing.c_str());
    return kSkipped;
  }
  std::printf("%s, %d cuts, seed %llu\n", flags.file_system.c_str(), flags.cuts,
              static_cast<unsigned long long>(flags.seed));
  std::fflush(stdout);
  PowerCuts cuts(flags);
  const bool kept = cuts.Run();
  if (!kept && !flags.expect_losses) {
    std::fflush(stdout);
    std::_Exit(1);  // keeps the folder
  }
  if (!flags.expect_losses) return 0;
  if (!cuts.promise_broken()) std::printf("the rig did not notice what the syncs are for\n");
  return cuts.promise_broken() ? 0 : 1;
}

}  // namespace
}  // namespace ckpt::crash

int main(int argc, char** argv) { return ckpt::crash::Main(argc, argv); }
