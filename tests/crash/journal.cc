#include "tests/crash/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace ckpt::crash {
namespace {

ExpectedSave ParseSave(const std::string& text) {
  const size_t equals = text.find('=');
  const size_t colon = text.find(':');
  return {.policy = text.substr(0, equals),
          .id = text.substr(equals + 1, colon - equals - 1),
          .path = text.substr(colon + 1)};
}

}  // namespace

JournalWriter::JournalWriter(const std::string& path, int process)
    : file_(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)),
      process_(process) {
  if (file_.valid()) return;
  std::perror(path.c_str());
  std::abort();
}

void JournalWriter::Decided(const Moment& moment, const v1::Decision& decision) {
  std::string line = "decided " + Text(moment);
  for (const v1::PolicyDecision& policy : decision.policies()) {
    if (policy.action() != v1::PolicyDecision::ACTION_SAVE) continue;
    const std::string id = policy.save().substr(policy.save().rfind('/') + 1);
    line += fmt::format(" {}={}:{}", policy.policy(), id, policy.filepath());
  }
  Write(line);
}

void JournalWriter::Failed(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  Write("failed " + text);
}

void JournalWriter::Write(const std::string& line) {
  const std::string text = fmt::format("{} {}\n", process_, line);
  if (write(file_.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) return;
  std::perror("journal");
  std::abort();
}

Expected ReadJournal(const std::string& path) {
  Expected expected;
  std::map<int, std::vector<Moment>> flushing;  // by process: events since its last Flush
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    int process = 0;
    std::string what;
    Moment moment;
    words >> process >> what;
    if (what == "begin" || what == "decided") words >> moment.epoch >> moment.batch;
    if (what == "begin") {
      expected.events[moment];
      expected.newest_process = std::max(expected.newest_process, process);
      flushing[process].push_back(moment);
    } else if (what == "decided") {
      ExpectedEvent& event = expected.events[moment];
      event.decided = true;
      for (std::string save; words >> save;) event.saves.push_back(ParseSave(save));
    } else if (what == "durable") {
      for (const Moment& each : flushing[process]) {
        expected.events[each].durable = true;
        expected.durable_saves += static_cast<int64_t>(expected.events[each].saves.size());
      }
      flushing[process].clear();
    } else {
      flushing[process].clear();  // nobody will say which of them are safe
    }
  }
  return expected;
}

}  // namespace ckpt::crash
