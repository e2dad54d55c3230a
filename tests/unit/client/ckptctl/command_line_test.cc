// Whole command lines against a daemon.
#include "client/ckptctl/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "storage/base/errors.h"
#include "tests/unit/client/support/fake_daemon.h"
#include "tests/unit/client/support/temp_folder.h"

namespace ckpt::ctl {
namespace {

using ckpt::testing::FakeDaemon;
using ckpt::testing::ReadText;
using ckpt::testing::WriteText;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class CommandLineTest : public ::testing::Test {
 protected:
  CommandLineTest() {
    for (const char* run : {"a", "b", "c"}) {
      daemon_.runs[std::string("runs/") + run].set_name(std::string("runs/") + run);
    }
    for (const int id : {1, 2, 3}) {
      v1::Checkpoint checkpoint;
      checkpoint.set_name("runs/a/checkpoints/" + std::to_string(id));
      checkpoint.set_epoch(id);
      daemon_.AddCheckpoint(checkpoint, {{"weights", "bytes " + std::to_string(id)}});
    }
    daemon_.status.set_serving(true);
    daemon_.status.set_version("0.1.0");
  }

  ExitCode Ctl(std::vector<std::string> arguments, const std::string& input = "",
               bool terminal = false) {
    arguments.insert(arguments.begin(), {"-s", daemon_.address()});
    std::istringstream in(input);
    std::ostringstream out;
    std::ostringstream err;
    const ExitCode code = RunCommandLine(arguments, {.in = in,
                                                     .out = out,
                                                     .err = err,
                                                     .in_is_terminal = terminal,
                                                     .err_is_terminal = terminal});
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  FakeDaemon daemon_;
  const ckpt::testing::TempFolder folder_;
  std::string out_;
  std::string err_;
};

TEST_F(CommandLineTest, DataGoesToOutputOnly) {
  EXPECT_EQ(Ctl({"-o", "name", "runs"}), kOk);
  EXPECT_EQ(out_, "a\nb\nc\n");
  EXPECT_EQ(err_, "");
  EXPECT_EQ(Ctl({"list", "a", "-o", "name"}), kOk) << "a global option after the command";
  EXPECT_EQ(out_, "a@1\na@2\na@3\n");
  EXPECT_EQ(Ctl({"list", "--limit", "2", "-o", "name"}), kOk);
  EXPECT_EQ(out_, "a@1\na@2\n");
  EXPECT_EQ(Ctl({"best", "a", "-o", "name"}), kOk);
  EXPECT_EQ(out_, "a@1\n");
  EXPECT_EQ(Ctl({"-o", "name", "show", "a@latest"}), kOk);
  EXPECT_EQ(out_, "a@3\n");
  EXPECT_EQ(Ctl({"show", "a"}), kOk);
  EXPECT_THAT(out_, StartsWith("Run:          a\n"));
}

TEST_F(CommandLineTest, UsageErrorsAreOneLineAndCodeTwo) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> table = {
      {{}, "ckptctl: "},
      {{"lst"}, "ckptctl: there is no command 'lst'; did you mean 'list'?\n"},
      {{"frobnicate"}, "ckptctl: there is no command 'frobnicate'; 'ckptctl --help' lists them\n"},
      {{"runs", "--colour"}, "ckptctl: "},
      {{"best"}, "ckptctl: RUN is required"},
      {{"best", "a", "--mode", "upwards"}, "ckptctl: --mode: "},
      {{"-o", "yaml", "runs"},
       "ckptctl: --output: 'yaml' is none of table, wide, json, csv and name;"},
      {{"-o", "3", "runs"}, "ckptctl: --output: '3' is none of"},
      {{"list", "--limit", "0"},
       "ckptctl: --limit: Value 0 not in range 1 to 9223372036854775807;"},
      {{"fetch", "a", "-o", "x", "--rank", "-1"}, "ckptctl: --rank: Value -1 not in range 0 to "},
      {{"show", "a b"}, "ckptctl: run 'a b' is not allowed"},
      {{"list", "a@3"}, "ckptctl: list takes a run"},
      {{"save", "a@3"}, "ckptctl: save takes a run"},
      {{"save", "a", "--wait", "0"}, "ckptctl: --wait: "},
      {{"rm", "a@best"}, "ckptctl: 'a@best' moves"},
      {{"list", "--filter", "nonsense"}, "ckptctl: "},
  };
  for (const auto& [arguments, beginning] : table) {
    EXPECT_EQ(Ctl(arguments), kUsage) << ::testing::PrintToString(arguments);
    EXPECT_THAT(err_, StartsWith(beginning));
    EXPECT_EQ(std::count(err_.begin(), err_.end(), '\n'), 1) << err_;
    EXPECT_EQ(out_, "");
  }
}

TEST_F(CommandLineTest, HistoryIsATableNamesJsonOrAPlot) {
  v1::MetricSeries series;
  series.set_metric("loss");
  for (const int batch : {0, -1}) {
    series.add_seqs(static_cast<uint64_t>(series.seqs_size()) + 7);
    series.add_epochs(3);
    series.add_batches(batch);
    series.add_times_unix_nanos(batch == 0 ? 1'700'000'000'250'000'000 : 0);
    series.add_values(batch == 0 ? 1.0 / 3 : 0.25);
  }
  daemon_.series = {series};
  EXPECT_EQ(Ctl({"history", "a", "loss", "--newest", "--points", "5", "--from", "2", "--to", "9"}),
            kOk);
  EXPECT_EQ(out_,
            "METRIC  EVENT  EPOCH  BATCH  VALUE     TIME\n"
            "loss    7      3      0      0.333333  2023-11-14 22:13:20Z\n"
            "loss    8      3             0.25\n");
  const v1::GetHistoryRequest request = daemon_.history_requests.back();
  EXPECT_EQ(request.run(), "runs/a");
  EXPECT_THAT(request.metrics(), ElementsAre("loss"));
  EXPECT_EQ(request.points(), 5);
  EXPECT_EQ(request.from_seq(), 2U);
  EXPECT_EQ(request.to_seq(), 9U);
  EXPECT_EQ(request.method(), v1::GetHistoryRequest::METHOD_NEWEST);

  EXPECT_EQ(Ctl({"-o", "csv", "history", "a", "loss"}), kOk);
  EXPECT_EQ(out_,
            "metric,event,epoch,batch,value,time\n"
            "loss,7,3,0,0.3333333333333333,2023-11-14T22:13:20.250Z\n"
            "loss,8,3,,0.25,\n");
  EXPECT_EQ(Ctl({"history", "a"}), kOk);
  EXPECT_EQ(out_, "loss\n");
  EXPECT_EQ(Ctl({"-o", "json", "history", "a", "loss"}), kOk);
  EXPECT_THAT(out_, StartsWith("[\n{\"metric\":\"loss\",\"seqs\":[\"7\",\"8\"],"));
  EXPECT_EQ(Ctl({"history", "a", "loss", "--plot"}), kOk);
  EXPECT_THAT(out_, StartsWith("loss: 0.25 at the end, 0.25 to 0.333333\n"));
  EXPECT_EQ(daemon_.history_requests.back().points(), 480);
  EXPECT_EQ(Ctl({"-o", "csv", "history", "a", "loss", "--plot"}), kUsage);
  EXPECT_EQ(Ctl({"history", "a@1", "loss"}), kUsage);
  EXPECT_EQ(Ctl({"history", "nope", "loss"}), kNotFound);
}

TEST_F(CommandLineTest, HelpAndVersion) {
  EXPECT_EQ(Ctl({"--help"}), kOk);
  EXPECT_THAT(out_, HasSubstr("3 not found"));
  for (const char* command :
       {"runs", "list", "best", "show", "fetch", "rm", "save", "status", "history", "replay"}) {
    EXPECT_EQ(Ctl({command, "--help"}), kOk);
    EXPECT_THAT(out_, HasSubstr("Examples:")) << command;
  }
  EXPECT_EQ(Ctl({"--version"}), kOk);
  EXPECT_THAT(out_, StartsWith("ckptctl "));
}

TEST_F(CommandLineTest, WhatIsNotThereIsCodeThree) {
  EXPECT_EQ(Ctl({"show", "nothing"}), kNotFound);
  EXPECT_THAT(err_, HasSubstr("does not exist"));
  EXPECT_EQ(Ctl({"show", "a@99"}), kNotFound);
  EXPECT_EQ(Ctl({"rm", "--yes", "nothing"}), kNotFound);
}

TEST_F(CommandLineTest, WithoutADaemonNothingIsPrintedAndTheCodeIsFour) {
  daemon_.Stop();
  for (const char* format : {"table", "json", "csv"}) {
    EXPECT_EQ(Ctl({"-o", format, "list"}), kUnavailable);
    EXPECT_EQ(out_, "");
    EXPECT_THAT(err_, StartsWith("ckptctl: no answer from ckptd at " + daemon_.address()));
  }
}

TEST_F(CommandLineTest, StatusTellsWhetherSavesAreAccepted) {
  EXPECT_EQ(Ctl({"status"}), kOk);
  EXPECT_THAT(out_, HasSubstr("Serving:      yes"));
  daemon_.status.set_serving(false);
  daemon_.status.set_not_serving_reason("the disk is full");
  EXPECT_EQ(Ctl({"-o", "json", "status"}), kUnavailable);
  EXPECT_THAT(out_, HasSubstr("\"serving\": false"));
  EXPECT_THAT(err_, HasSubstr("the disk is full"));
}

TEST_F(CommandLineTest, FetchWritesAFile) {
  EXPECT_EQ(Ctl({"fetch", "a@2", "-o", folder_.File("w")}), kOk);
  EXPECT_EQ(ReadText(folder_.File("w")), "bytes 2");
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, StartsWith("fetched a@2 to "));
  EXPECT_EQ(err_.find('%'), std::string::npos) << "no progress bar without a terminal";
  EXPECT_EQ(Ctl({"fetch", "a@2", "-o", folder_.File("w")}, "", true), kOk);
  EXPECT_THAT(err_, HasSubstr("100%"));
}

TEST_F(CommandLineTest, FetchOfARunSaysWhenThereIsNoBest) {
  EXPECT_EQ(Ctl({"fetch", "a", "-o", folder_.File("w")}), kOk);
  EXPECT_EQ(ReadText(folder_.File("w")), "bytes 3");
  EXPECT_THAT(err_, HasSubstr("taking the latest, a@3"));
}

TEST_F(CommandLineTest, DamageIsCodeFive) {
  daemon_.script.damage_stored = true;
  EXPECT_EQ(Ctl({"fetch", "a@2", "-o", folder_.File("w")}), kIntegrity);
  EXPECT_FALSE(std::filesystem::exists(folder_.File("w")));
}

TEST_F(CommandLineTest, SaveTellsTheCheckpointOrWhyThereIsNone) {
  EXPECT_EQ(Ctl({"-o", "name", "save", "a"}), kOk);
  EXPECT_EQ(out_, "a@7\n");
  EXPECT_EQ(err_, "a@7 is on its way\n");
  EXPECT_EQ(Ctl({"-o", "json", "save", "a"}), kOk);
  EXPECT_THAT(out_, HasSubstr("STATE_COMMITTED"));
  EXPECT_EQ(Ctl({"save", "nothing"}), kNotFound);

  daemon_.script.save_failed = SaveNotOpen("runs/a/checkpoints/7", "the trainer gave it up");
  EXPECT_EQ(Ctl({"save", "a"}), kError);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, HasSubstr("gave it up"));
  EXPECT_EQ(Ctl({"-o", "json", "save", "a", "--no-wait"}), kOk) << "the end is not waited for";
  EXPECT_THAT(out_, HasSubstr("STATE_SAVING"));
  EXPECT_EQ(err_, "");

  daemon_.script.save_failed = absl::DeadlineExceededError("Deadline Exceeded");
  EXPECT_EQ(Ctl({"save", "a", "--wait", "60"}), kUnavailable);
  EXPECT_THAT(err_, HasSubstr("a@7 is not committed after 60 s; it may be yet"));
  daemon_.script.save_refused = NoTrainer("a");
  EXPECT_EQ(Ctl({"save", "a"}), kError);
  EXPECT_THAT(err_, HasSubstr("no trainer"));
}

TEST_F(CommandLineTest, RmAsksOnATerminal) {
  EXPECT_EQ(Ctl({"rm", "a@1", "b"}, "no\n", true), kError);
  EXPECT_THAT(err_, HasSubstr("b and everything in it"));
  EXPECT_THAT(daemon_.deleted, ElementsAre());
  EXPECT_EQ(Ctl({"rm", "a@1", "b"}, "y\n", true), kOk);
  EXPECT_THAT(daemon_.deleted, ElementsAre("runs/a/checkpoints/1", "runs/b"));
}

TEST_F(CommandLineTest, RmOfARunNeedsYesWithoutATerminal) {
  EXPECT_EQ(Ctl({"rm", "a@1", "b"}), kUsage);
  EXPECT_THAT(daemon_.deleted, ElementsAre());
  EXPECT_EQ(Ctl({"rm", "a@1"}), kOk) << "a checkpoint does not";
  EXPECT_EQ(Ctl({"rm", "b", "--yes"}), kOk);
  EXPECT_THAT(daemon_.deleted, ElementsAre("runs/a/checkpoints/1", "runs/b"));
}

constexpr char kCase[] =
    R"({"id":"k-1","policy":{"filepath":"w{epoch}"},"events":[{"type":"train_begin"},)"
    R"({"type":"epoch_begin","epoch":0},{"type":"epoch_end","epoch":0,"logs":{"loss":0.5}}]})";

TEST_F(CommandLineTest, ReplayDrivesARun) {
  daemon_.script.decide = [](const v1::Event& event) -> std::optional<v1::Decision> {
    if (event.kind() != v1::Event::KIND_EPOCH_END) return std::nullopt;
    v1::Decision decision;
    v1::PolicyDecision* policy = decision.add_policies();
    policy->set_action(v1::PolicyDecision::ACTION_SAVE);
    policy->set_filepath("w1");
    policy->set_best(0.5);
    decision.add_saves();
    return decision;
  };
  WriteText(folder_.File("cases"), std::string(kCase) + "\n");
  EXPECT_EQ(Ctl({"replay", folder_.File("cases")}), kOk);
  EXPECT_EQ(out_, R"({"id":"k-1","init":{"warnings":[]},"got":[{"event":2,"action":"save",)"
                  R"("payload":"full","filepath":"w1","best":0.5}]})"
                  "\n");
  EXPECT_EQ(daemon_.hellos.at(0).run(), "runs/k-1");
  EXPECT_EQ(daemon_.hellos.at(0).start(), v1::Hello::START_CREATE);
  EXPECT_EQ(daemon_.checkpoints.size(), 4u) << "committed before the line was printed";
}

TEST_F(CommandLineTest, ReplayPrintsWhatTheConstructorRaises) {
  daemon_.script.greet = [](const v1::Hello&) { return SaveFreqInvalid("replay", "weekly"); };
  EXPECT_EQ(Ctl({"replay", "-"}, kCase), kOk);
  EXPECT_THAT(out_, HasSubstr(R"("init":{"init_error":"ValueError")"));
}

TEST_F(CommandLineTest, ReplayNamesTheLinesThatHaveNoAnswer) {
  const auto with_id = [](std::string id) {
    return R"({"id":")" + id + R"(","policy":{"filepath":"w"},"events":[]})" + "\n";
  };
  EXPECT_EQ(Ctl({"replay", "-"}, with_id("r1") + "{\n" + with_id("r2") + with_id("r1")), kError);
  EXPECT_EQ(out_, R"({"id":"r1","init":{"warnings":[]},"got":[]})"
                  "\n"
                  R"({"id":"r2","init":{"warnings":[]},"got":[]})"
                  "\n");
  EXPECT_EQ(err_,
            "ckptctl: -:2: not a JSON object\n"
            "ckptctl: -:4: line 1 has the id 'r1' already\n"
            "ckptctl: 2 of 4 lines have no answer\n");
  EXPECT_EQ(Ctl({"replay", folder_.File("none")}), kError);
  EXPECT_THAT(err_, HasSubstr("cannot read"));
  EXPECT_EQ(Ctl({"replay", "-"}, ""), kOk);
  EXPECT_EQ(out_ + err_, "");
}

TEST_F(CommandLineTest, ReplayPrintsManyCasesInTheirOrder) {
  std::string cases;
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    const std::string id = R"({"id":"r)" + std::to_string(i) + '"';
    cases += id + R"(,"policy":{"filepath":"w"},"events":[]})" + "\n";
    expected += id + R"(,"init":{"warnings":[]},"got":[]})" + "\n";
  }
  EXPECT_EQ(Ctl({"replay", "-"}, cases), kOk);
  EXPECT_EQ(out_, expected);
}

TEST_F(CommandLineTest, ReplayEndsWithoutADaemon) {
  daemon_.Stop();
  EXPECT_EQ(Ctl({"--timeout", "0.1", "replay", "-"}, std::string(kCase) + "\n" + kCase),
            kUnavailable);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, StartsWith("ckptctl: -:1: no answer from ckptd at " + daemon_.address()));
}

TEST_F(CommandLineTest, ReplayNeedsNewRuns) {
  daemon_.script.greet = [](const v1::Hello&) { return RunExists("k-1"); };
  EXPECT_EQ(Ctl({"replay", "-"}, kCase), kError);
  EXPECT_THAT(err_, HasSubstr("ckptctl rm k-1 --yes"));
}

}  // namespace
}  // namespace ckpt::ctl
