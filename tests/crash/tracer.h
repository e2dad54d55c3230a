// strace(1), to count the daemon's file calls and to make one of them fail.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/integration/process.h"

namespace ckpt::crash {

// What happens at the `nth` call (from 1) of one thread.
struct Injection {
  std::string call;
  int nth = 1;
  std::string effect;  // as strace has it, such as "signal=KILL" or "error=EIO"
};
std::string Text(const Injection& injection);

// Every call by which a file or folder is opened for writing, made, changed, synced or removed.
const std::vector<std::string>& FileCalls();

// The command that starts a daemon under strace, and becomes that daemon. Writes what it sees to
// `log`; without an injection all file calls.
std::vector<std::string> TraceFromStart(const std::string& log, const Injection* injection);

// Attaches to a running process; returns when each of its threads is traced.
std::unique_ptr<integration::Process> Attach(pid_t pid, const std::string& log,
                                             const Injection* injection);

// From a log: how often the busiest thread made each call.
std::map<std::string, int> CountCalls(const std::string& log);
// The first sync after a save's folder has been moved into blobs/: published, and not in the index.
Injection KillAfterPublish(const std::string& log);
// Whether a call was made to fail. (Of kills a log does not always tell.)
bool HasFailedCall(const std::string& log);

}  // namespace ckpt::crash
