#include "tests/crash/powercut/disk.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

namespace ckpt::crash {
namespace {

namespace fs = std::filesystem;
using integration::Command;
using integration::Finished;
using integration::Process;

constexpr int64_t kBytes = 400LL << 20;  // xfs wants 300 MiB
constexpr std::chrono::seconds kPowerOnTime(60);
constexpr std::chrono::milliseconds kPause(5);

Command CommandOf(std::vector<std::string> argv) {
  argv.insert(argv.begin(), "/usr/bin/env");
  Command command;
  command.argv = std::move(argv);
  return command;
}

std::string Run(std::vector<std::string> argv) {
  const std::string name = argv[0];
  const Finished finished = integration::RunToEnd(CommandOf(std::move(argv)));
  return finished.exit_code == 0 ? "" : name + ": " + finished.err;
}

bool Await(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + kPowerOnTime;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

std::vector<std::string> MakeFileSystem(const std::string& file_system) {
  if (file_system == "ext4") return {"mkfs.ext4", "-q", "-F"};
  if (file_system == "xfs") return {"mkfs.xfs", "-q", "-f"};
  return {"mkfs.btrfs", "-q", "-f"};
}

bool IsKnownToTheKernel(const std::string& file_system) {
  std::ifstream known("/proc/filesystems");
  for (std::string line; std::getline(known, line);) {
    if (line.substr(line.rfind('\t') + 1) == file_system) return true;
  }
  return false;
}

}  // namespace

std::string WhatIsMissing(const std::string& file_system) {
  if (geteuid() != 0) return "only root may mount";
  for (const char* device : {"/dev/fuse", "/dev/loop-control"}) {
    if (access(device, R_OK | W_OK) != 0) return std::string(device) + " cannot be opened";
  }
  if (!IsKnownToTheKernel(file_system)) return "the kernel does not know " + file_system;
  for (const std::string& tool :
       {std::string("nbdkit"), std::string("nbdfuse"), MakeFileSystem(file_system)[0]}) {
    if (const std::string error = Run({"which", tool}); !error.empty()) {
      return tool + " is not installed; deploy/install-deps.sh does that";
    }
  }
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return "there is no mount namespace to be had";
  return "";
}

Disk::Disk(const integration::ScratchFolder& folder, const std::string& file_system,
           const std::string& options)
    : file_system_(file_system),
      mount_options_(options.empty() ? "loop" : "loop," + options),
      image_(folder / "image"),
      log_(folder / "disk.log"),
      socket_(folder / "nbd.sock"),
      listening_(folder / "nbdkit.pid"),
      device_(folder / "device"),
      mount_point_(folder / "disk"),
      write_errors_(folder / "write-errors") {
  fs::create_directory(mount_point_);
  std::ofstream(device_, std::ios::trunc).close();
  Format();
}

void Disk::Format() {
  std::ofstream(image_, std::ios::trunc).close();
  fs::resize_file(image_, kBytes);
  std::vector<std::string> make = MakeFileSystem(file_system_);
  make.push_back(image_);
  if (const std::string error = Run(make); !error.empty()) {
    std::fprintf(stderr, "%s", error.c_str());
    std::abort();
  }
}

Disk::~Disk() {
  Cut();
  Unmount();
}

// They complain about each other's end, which is meant.
Command Disk::Tool(std::vector<std::string> argv) const {
  Command command = CommandOf(std::move(argv));
  command.stderr_path = log_;
  return command;
}

std::string Disk::Mount() {
  unlink(socket_.c_str());
  unlink(listening_.c_str());
  power_ = std::make_unique<Process>(
      Tool({"nbdkit", "-f", "-U", socket_, "-P", listening_, "--filter=error", "--filter=cache",
            "file", "file=" + image_, "cache=writeback", "error-pwrite=EIO",
            "error-pwrite-rate=100%", "error-pwrite-file=" + write_errors_}));
  if (!Await([&] { return access(listening_.c_str(), F_OK) == 0; })) {
    return "nbdkit does not start\n";
  }
  cable_ = std::make_unique<Process>(Tool({"nbdfuse", device_, "--unix", socket_}));
  struct stat info;
  if (!Await([&] { return stat(device_.c_str(), &info) == 0 && info.st_size == kBytes; })) {
    return "nbdfuse does not start\n";
  }
  const std::vector<std::string> mount = {"mount", "-o", mount_options_, device_, mount_point_};
  std::string error = Run(mount);
  if (error.empty() || file_system_ != "ext4") return error;
  // Where writes failed, the journal may end in something that only the check at a machine's start
  // gets over.
  integration::RunToEnd(CommandOf({"e2fsck", "-f", "-y", device_}));
  return Run(mount);
}

void Disk::Cut() { power_.reset(); }

void Disk::Unmount() {
  if (cable_ == nullptr) return;
  umount2(mount_point_.c_str(), MNT_DETACH);
  cable_.reset();
  umount2(device_.c_str(), MNT_DETACH);
}

void Disk::FailWrites(bool fail) {
  if (fail) {
    std::ofstream(write_errors_).close();
  } else {
    unlink(write_errors_.c_str());
  }
}

}  // namespace ckpt::crash
