#include "tests/crash/tracer.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <functional>

namespace ckpt::crash {
namespace {

// -y: descriptors with their paths.
std::vector<std::string> Strace(const std::string& log, const Injection* injection) {
  std::vector<std::string> argv = {STRACE_BINARY, "-f", "-y", "-o", log};
  const std::string calls =
      injection != nullptr ? injection->call : fmt::format("{}", fmt::join(FileCalls(), ","));
  argv.insert(argv.end(), {"-e", "trace=" + calls, "-e", "signal=none"});
  if (injection != nullptr) {
    argv.insert(argv.end(), {"-e", fmt::format("inject={}:{}:when={}", injection->call,
                                               injection->effect, injection->nth)});
  }
  return argv;
}

// Calls `each` with the thread, the name and the whole line of each call.
void ForEachCall(const std::string& log,
                 const std::function<void(const std::string& thread, const std::string& call,
                                          const std::string& line)>& each) {
  std::ifstream file(log);
  for (std::string line; std::getline(file, line);) {
    const size_t space = line.find_first_of(' ');
    const size_t begin = line.find_first_not_of(' ', space);
    const size_t parenthesis = line.find('(', space);
    if (begin == std::string::npos || parenthesis == std::string::npos || line[begin] == '<' ||
        line[begin] == '+' || line[begin] == '-') {
      continue;
    }
    each(line.substr(0, space), line.substr(begin, parenthesis - begin), line);
  }
}

}  // namespace

std::string Text(const Injection& injection) {
  return fmt::format("{} at {} number {}", injection.effect, injection.call, injection.nth);
}

const std::vector<std::string>& FileCalls() {
  static const auto* const kCalls = new std::vector<std::string>{
      "openat",    "openat2", "mkdir",     "mkdirat",   "write",          "pwrite64", "pwritev",
      "fallocate", "fchmod",  "ftruncate", "fdatasync", "fsync",          "rename",   "renameat",
      "renameat2", "linkat",  "unlink",    "unlinkat",  "sync_file_range"};
  return *kCalls;
}

std::vector<std::string> TraceFromStart(const std::string& log, const Injection* injection) {
  std::vector<std::string> argv = Strace(log, injection);
  argv.insert(argv.begin() + 1, {"-D", "-qqq"});
  return argv;
}

std::unique_ptr<integration::Process> Attach(pid_t pid, const std::string& log,
                                             const Injection* injection) {
  // Its standard error says when it is there.
  integration::Command command;
  command.argv = {"/bin/sh", "-c", "exec \"$@\" 2>&1", "sh"};
  const std::vector<std::string> strace = Strace(log, injection);
  command.argv.insert(command.argv.end(), strace.begin(), strace.end());
  command.argv.insert(command.argv.end(), {"-p", std::to_string(pid)});
  auto tracer = std::make_unique<integration::Process>(command);
  tracer->ReadUntil(STRACE_BINARY ": Process");
  return tracer;
}

std::map<std::string, int> CountCalls(const std::string& log) {
  std::map<std::pair<std::string, std::string>, int> by_thread;
  std::map<std::string, int> busiest;
  ForEachCall(log, [&](const std::string& thread, const std::string& call, const std::string&) {
    busiest[call] = std::max(busiest[call], ++by_thread[{thread, call}]);
  });
  return busiest;
}

Injection KillAfterPublish(const std::string& log) {
  std::map<std::string, int> syncs;  // by thread
  std::string publisher;
  Injection point = {.call = "fsync", .nth = 0, .effect = "signal=KILL"};
  ForEachCall(log,
              [&](const std::string& thread, const std::string& call, const std::string& line) {
                if (call == "renameat" && line.find("/blobs/") != std::string::npos)
                  publisher = thread;
                if (call != point.call) return;
                ++syncs[thread];
                if (thread == publisher && point.nth == 0) point.nth = syncs[thread];
              });
  return point;
}

bool HasFailedCall(const std::string& log) {
  std::ifstream file(log);
  for (std::string line; std::getline(file, line);) {
    if (line.find("(INJECTED)") != std::string::npos) return true;
  }
  return false;
}

}  // namespace ckpt::crash
