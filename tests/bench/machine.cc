#include "tests/bench/machine.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

namespace ckpt::bench {
namespace {

// The text after `key` and a colon in a file of /proc; empty if there is none.
std::string ProcValue(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t begin = line.find_first_not_of(": \t", key.size());
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

int64_t StatusBytes(pid_t process, std::string_view key) {
  std::istringstream value(ProcValue(fmt::format("/proc/{}/status", process), key));
  int64_t kib = 0;
  value >> kib;
  return kib << 10;
}

}  // namespace

std::string DescribeMachine() {
  utsname system = {};
  uname(&system);
  const int64_t memory = sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
  return fmt::format("{}, {} cores, {:.1f} GiB, {} {}", ProcValue("/proc/cpuinfo", "model name"),
                     std::thread::hardware_concurrency(), static_cast<double>(memory) / (1 << 30),
                     system.sysname, system.release);
}

void TouchMemory(int64_t bytes) {
  const auto size = static_cast<size_t>(bytes);
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory != MAP_FAILED) munmap(memory, size);
}

double CpuSeconds(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string text;
  if (!std::getline(file, text)) return 0;
  // The name, in parentheses, may hold anything; user and system time are fields 14 and 15.
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

int64_t ResidentMemory(pid_t process) { return StatusBytes(process, "VmRSS"); }

int64_t PeakMemory(pid_t process) { return StatusBytes(process, "VmHWM"); }

void ResetPeakMemory(pid_t process) {
  std::ofstream(fmt::format("/proc/{}/clear_refs", process)) << "5";
}

}  // namespace ckpt::bench
