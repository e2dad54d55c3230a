// Upkeep that is killed in the middle, at chosen calls to the disk, and run again: what comes out
// is what would have come out undisturbed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/crash/tracer.h"
#include "tests/integration/run_view.h"
#include "tests/integration/training.h"

namespace ckpt::integration {
namespace {

namespace fs = std::filesystem;
using crash::Injection;
using testing::IsEmpty;

constexpr int kKilled = 128 + SIGKILL;

class UpkeepKill : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(daemon_.Start());
    Command train = TrainDigits(daemon_);
    train.argv.back() = "3";
    ASSERT_EQ(RunToEnd(train).exit_code, 0);
    before_ = Observe(daemon_, kRun);
    ASSERT_EQ(daemon_.Stop(), 0);
  }

  // The first and the last of each call that was made.
  static std::vector<Injection> Kills(const std::map<std::string, int>& calls) {
    std::vector<Injection> kills;
    for (const auto& [call, count] : calls) {
      for (const int nth : std::set<int>{1, count}) {
        kills.push_back({.call = call, .nth = nth, .effect = "signal=KILL"});
      }
    }
    return kills;
  }
  static void ExpectSame(const RunView& view, const RunView& expected) {
    EXPECT_EQ(view.checkpoints, expected.checkpoints);
    EXPECT_EQ(view.files, expected.files);
    EXPECT_EQ(view.events, expected.events);
  }

  const ScratchFolder folder_;
  const std::string trace_ = folder_ / "trace";
  DaemonProcess daemon_{folder_};
  RunView before_;
};

class RebuildKill : public UpkeepKill {
 protected:
  static void Copy(const std::string& from, const std::string& to) {  // hard links, too
    fs::remove_all(to);
    ASSERT_EQ(RunToEnd({.argv = {"/bin/cp", "-a", from, to}, .environment = {}, .stderr_path = ""})
                  .exit_code,
              0);
  }
  // The exit code of a rebuild, under `wrapper`.
  int Rebuild(std::vector<std::string> wrapper) {
    Command command = {
        .argv = std::move(wrapper), .environment = {}, .stderr_path = folder_ / "rebuild.log"};
    command.argv.insert(command.argv.end(),
                        {CKPTD_BINARY, "--rebuild-index", "--data-dir", daemon_.data_dir()});
    return Process(command).Wait();
  }
  RunView View() {
    EXPECT_TRUE(daemon_.Start());
    RunView view = Observe(daemon_, kRun);
    EXPECT_EQ(daemon_.Stop(), 0);
    return view;
  }
  void KillEverywhere() {
    Copy(daemon_.data_dir(), kept_);
    ASSERT_EQ(Rebuild(crash::TraceFromStart(trace_, nullptr)), 0);
    const std::map<std::string, int> calls = crash::CountCalls(trace_);
    const RunView undisturbed = View();
    int killed = 0;
    for (const Injection& kill : Kills(calls)) {
      SCOPED_TRACE(crash::Text(kill));
      Copy(kept_, daemon_.data_dir());
      killed += Rebuild(crash::TraceFromStart(trace_, &kill)) == kKilled ? 1 : 0;
      ASSERT_EQ(Rebuild({}), 0);
      ExpectSame(View(), undisturbed);
      if (HasFailure()) return;
    }
    EXPECT_GT(killed, 10) << "else nothing was tested";
  }

  const std::string kept_ = folder_ / "kept";
};

TEST_F(RebuildKill, OfALostIndex) {
  fs::remove_all(daemon_.data_dir() + "/index");
  KillEverywhere();
}

TEST_F(RebuildKill, OfOneThatCanBeRead) { KillEverywhere(); }

class BackupKill : public UpkeepKill {
 protected:
  int BackUp(const std::string& copy) {
    return RunToEnd({.argv = {CKPTCTL_BINARY, "backup", copy},
                     .environment = {{"CKPT_SERVER", daemon_.server()}},
                     .stderr_path = ""})
        .exit_code;
  }
  std::map<std::string, int> CallsOfOne() {
    const auto tracer = crash::Attach(daemon_.pid(), trace_, nullptr);
    const ScratchFolder elsewhere;
    EXPECT_EQ(BackUp(elsewhere / "data"), 0);
    return crash::CountCalls(trace_);
  }
};

TEST_F(BackupKill, LeavesAWholeOneOrNone) {
  ASSERT_TRUE(daemon_.Start());
  const std::vector<Injection> kills = Kills(CallsOfOne());
  int killed = 0;
  for (const Injection& kill : kills) {
    SCOPED_TRACE(crash::Text(kill));
    const ScratchFolder elsewhere;
    const std::string copy = elsewhere / "data";
    const auto tracer = crash::Attach(daemon_.pid(), trace_, &kill);
    if (BackUp(copy) == 0) continue;  // done by another thread than before, whose count was lower
    ASSERT_EQ(daemon_.process().Wait(), kKilled);
    ++killed;
    const bool whole = fs::exists(copy + "/VERSION");
    ASSERT_TRUE(daemon_.Start());
    EXPECT_FALSE(fs::exists(daemon_.data_dir() + "/backup.staging"));
    ExpectSame(Observe(daemon_, kRun), before_);
    if (!whole) {
      fs::remove_all(copy);
      ASSERT_EQ(BackUp(copy), 0);
    }
    DaemonProcess restored(elsewhere);
    ASSERT_EQ(restored.data_dir(), copy);
    ASSERT_TRUE(restored.Start());
    ExpectSame(Observe(restored, kRun), before_);
    if (HasFailure()) return;
  }
  EXPECT_GT(killed, 10) << "else nothing was tested";
}

}  // namespace
}  // namespace ckpt::integration
