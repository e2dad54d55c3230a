// The real ckptd, as a child.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "storage/base/unique_fd.h"
#include "tests/integration/process.h"
#include "tests/integration/scratch_folder.h"

namespace ckpt::integration {

// How one start differs from others.
struct Launch {
  // A command that the daemon's is appended to, such as a tracer's. It must become the daemon.
  std::vector<std::string> wrapper;
  std::map<std::string, std::string> environment;
};

// A daemon that may be killed and started again on the same data folder and address. When the test
// has failed, prints the daemon's log at the end.
class DaemonProcess {
 public:
  // Everything is kept in `folder`, but the data in `data_dir` if that is not empty. `flags` go to
  // each start, besides the data folder, the Unix socket and a free port for HTTP.
  explicit DaemonProcess(const ScratchFolder& folder, std::vector<std::string> flags = {},
                         const std::string& data_dir = "");
  ~DaemonProcess();

  // Returns when the daemon says that it is ready, or false if it ends instead.
  bool Start(const Launch& launch = {});
  // The daemon, once started.
  Process& process() { return *process_; }
  // SIGKILL.
  void Kill();
  // SIGTERM. Returns the exit code.
  int Stop();

  pid_t pid() const { return process_->pid(); }
  // The address for clients: a Unix socket, the same after each start.
  const std::string& server() const { return server_; }
  const std::string& data_dir() const { return data_dir_; }
  // Everything it has logged so far.
  std::string log() const;

 private:
  const std::string data_dir_;
  const std::string server_;
  const std::string log_path_;
  const std::string notify_path_;
  const std::vector<std::string> flags_;
  UniqueFd notify_;  // where the daemon tells service managers how it is, see sd_notify(3)
  std::unique_ptr<Process> process_;
};

}  // namespace ckpt::integration
