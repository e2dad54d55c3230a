// Child processes.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/unique_fd.h"

namespace ckpt::integration {

struct Command {
  std::vector<std::string> argv;                   // argv[0] is a path
  std::map<std::string, std::string> environment;  // besides this process's own
  std::string stderr_path;                         // appended to; empty: this process's own
};

// A running child. It is killed when its Process goes, and when this process ends in any way.
class Process {
 public:
  explicit Process(const Command& command);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  // Becomes readable when the child has ended.
  int exit_descriptor() const { return exit_.get(); }

  // The next line of the child's standard output, without its end; nothing after the last one.
  // Waits for it.
  std::optional<std::string> ReadLine();
  // Reads until a line begins with `prefix`, and returns it; nothing if none does.
  std::optional<std::string> ReadUntil(const std::string& prefix);
  // What is left of the standard output.
  std::string ReadRest();

  void Signal(int number);
  // The exit code, or 128 and the signal that ended it.
  int Wait();

 private:
  pid_t pid_ = -1;
  std::optional<int> exit_code_;  // set once it has been waited for
  UniqueFd exit_;
  UniqueFd stdout_;
  std::string buffer_;  // read and not yet returned
};

struct Finished {
  int exit_code = -1;
  std::string out;
  std::string err;
};

// Runs a command to its end. `stderr_path` is ignored.
Finished RunToEnd(Command command);

}  // namespace ckpt::integration
