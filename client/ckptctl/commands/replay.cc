#include <fmt/format.h>

#include <CLI/App.hpp>
#include <deque>
#include <fstream>
#include <future>
#include <map>
#include <memory>

#include "client/ckptctl/commands/commands.h"
#include "client/ckptctl/replay_case.h"
#include "client/ckptctl/replay_run.h"
#include "client/ckptctl/text.h"
#include "storage/base/errors.h"

namespace ckpt::ctl {
namespace {

// Most of a case is waiting for the disk, and cases that wait together share its syncs.
constexpr size_t kCasesAtOnce = 16;

// Answers lines, several at once, and prints the answers in the order of the lines.
class Replay {
 public:
  Replay(const Context& context, std::string file) : context_(context), file_(std::move(file)) {}

  // Begins the next line. An error ends the replay: no line after it could be answered.
  absl::Status Add(const std::string& line) {
    ++lines_;
    if (answers_.size() == kCasesAtOnce) {
      if (absl::Status status = PrintOldest(); !status.ok()) return status;
    }
    answers_.push_back(
        {lines_, std::async(std::launch::async,
                            [this, replay = Parse(line)]() -> absl::StatusOr<std::string> {
                              if (!replay.ok()) return replay.status();
                              return RunReplayCase(context_.server, context_.timeout(), *replay);
                            })});
    return absl::OkStatus();
  }

  // Waits for every line. An error as well if some line had no answer.
  absl::Status Finish() {
    while (!answers_.empty()) {
      if (absl::Status status = PrintOldest(); !status.ok()) return status;
    }
    if (failed_ == 0) return absl::OkStatus();
    return absl::UnknownError(fmt::format("{} of {} lines have no answer", failed_, lines_));
  }

 private:
  struct Answer {
    size_t line = 0;
    std::future<absl::StatusOr<std::string>> text;
  };

  absl::StatusOr<ReplayCase> Parse(const std::string& line) {
    absl::StatusOr<ReplayCase> replay = ParseReplayCase(line);
    if (!replay.ok()) return replay;
    const auto [first, is_new] = ids_.emplace(replay->id, lines_);
    if (is_new) return replay;
    return absl::AlreadyExistsError(
        fmt::format("line {} has the id '{}' already", first->second, replay->id));
  }

  absl::Status PrintOldest() {
    Answer answer = std::move(answers_.front());
    answers_.pop_front();
    const absl::StatusOr<std::string> text = answer.text.get();
    if (text.ok()) {
      context_.streams.out << *text << std::endl;
      return absl::OkStatus();
    }
    const absl::Status error = Annotate(text.status(), fmt::format("{}:{}", file_, answer.line));
    if (absl::IsUnavailable(error)) return error;
    context_.streams.err << fmt::format("ckptctl: {}\n", Escaped(MessageOf(error)));
    ++failed_;
    return absl::OkStatus();
  }

  const Context& context_;
  const std::string file_;
  size_t lines_ = 0;
  size_t failed_ = 0;
  std::map<std::string, size_t> ids_;  // to the line that has it
  std::deque<Answer> answers_;         // begun and not printed yet; destroying one waits for it
};

absl::Status ReplayFile(const Context& context, const std::string& file) {
  std::ifstream opened;
  if (file != "-") {
    opened.open(file);
    if (!opened) return absl::UnknownError(fmt::format("cannot read '{}'", file));
  }
  std::istream& lines = file == "-" ? context.streams.in : opened;
  Replay replay(context, file);
  for (std::string line; std::getline(lines, line);) {
    if (absl::Status status = replay.Add(line); !status.ok()) return status;
  }
  if (lines.bad()) return absl::UnknownError(fmt::format("cannot read '{}'", file));
  return replay.Finish();
}

}  // namespace

void AddReplayCommand(CLI::App& app, Context& context) {
  CLI::App* replay =
      app.add_subcommand("replay", "Drive runs from recorded events and print the decisions");
  const auto file = std::make_shared<std::string>();
  replay->add_option("FILE", *file, "Cases, one JSON object a line; - for standard input")
      ->required();
  replay->footer(
      "Each case becomes a run named by its id, which must not exist, and one line of output, in\n"
      "the order of the file: the constructor's warnings or error, and what each event made the\n"
      "policy do. A line that is no case is reported and left out; the exit code is then 1.\n"
      "Examples:\n"
      "  ckptctl replay keras29.jsonl > got.jsonl\n"
      "  head -n 1 keras29.jsonl | ckptctl replay -");
  replay->callback([&context, file] {
    context.command = [&context, file] { return ReplayFile(context, *file); };
  });
}

}  // namespace ckpt::ctl
