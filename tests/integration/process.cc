#include "tests/integration/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "tests/integration/scratch_folder.h"

extern char** environ;

namespace ckpt::integration {
namespace {

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::abort();
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> Environment(const Command& command) {
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    if (!command.environment.contains(text.substr(0, text.find('=')))) environment.push_back(text);
  }
  for (const auto& [name, value] : command.environment) environment.push_back(name + "=" + value);
  return environment;
}

// In the child, where only system calls are safe.
[[noreturn]] void Execute(char** argv, char** environment, int out, int err, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);  // the parent had ended before prctl
  dup2(out, STDOUT_FILENO);
  if (err >= 0) dup2(err, STDERR_FILENO);
  execve(argv[0], argv, environment);
  std::perror(argv[0]);
  _exit(127);
}

}  // namespace

Process::Process(const Command& command) {
  std::array<int, 2> pipe_ends;
  if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) Die("pipe2");
  stdout_ = UniqueFd(pipe_ends[0]);
  const UniqueFd out(pipe_ends[1]);
  UniqueFd err;
  if (!command.stderr_path.empty()) {
    err = UniqueFd(
        open(command.stderr_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!err.valid()) Die(command.stderr_path.c_str());
  }
  std::vector<std::string> argv = command.argv;
  std::vector<std::string> environment = Environment(command);
  const std::vector<char*> argv_pointers = Pointers(argv);
  const std::vector<char*> environment_pointers = Pointers(environment);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) Die("fork");
  if (pid_ == 0) {
    Execute(const_cast<char**>(argv_pointers.data()),
            const_cast<char**>(environment_pointers.data()), out.get(), err.get(), parent);
  }
  exit_ = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  if (!exit_.valid()) Die("pidfd_open");
}

Process::~Process() {
  if (exit_code_) return;
  Signal(SIGKILL);
  Wait();
}

std::optional<std::string> Process::ReadLine() {
  size_t end;
  while ((end = buffer_.find('\n')) == std::string::npos) {
    std::array<char, 4096> chunk;
    const ssize_t size = read(stdout_.get(), chunk.data(), chunk.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) Die("read");
    if (size == 0) break;
    buffer_.append(chunk.data(), static_cast<size_t>(size));
  }
  if (buffer_.empty()) return std::nullopt;
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end == std::string::npos ? end : end + 1);
  return line;
}

std::optional<std::string> Process::ReadUntil(const std::string& prefix) {
  std::optional<std::string> line;
  do {
    line = ReadLine();
  } while (line && !line->starts_with(prefix));
  return line;
}

std::string Process::ReadRest() {
  std::string rest;
  while (const std::optional<std::string> line = ReadLine()) rest += *line + "\n";
  return rest;
}

void Process::Signal(int number) {
  if (!exit_code_) kill(pid_, number);
}

int Process::Wait() {
  if (exit_code_) return *exit_code_;
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) Die("waitpid");
  }
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return *exit_code_;
}

Finished RunToEnd(Command command) {
  const ScratchFolder folder;
  command.stderr_path = folder / "stderr";
  Process process(command);
  Finished finished;
  finished.out = process.ReadRest();
  finished.exit_code = process.Wait();
  std::ifstream err(command.stderr_path, std::ios::binary);
  finished.err.assign(std::istreambuf_iterator<char>(err), {});
  return finished;
}

}  // namespace ckpt::integration
