// A disk that loses its power, with a real file system on it.
//
//   ext4, xfs or btrfs ─ loop device ─ nbdfuse ─ nbdkit ─ image file
//
// nbdkit's cache filter holds every write in memory until it is told to flush, as the volatile
// cache of a drive does. SIGKILL to it is the power cut; the next Mount is the journal's replay.
// Its error filter fails writes on demand.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/integration/process.h"
#include "tests/integration/scratch_folder.h"

namespace ckpt::crash {

// What this machine lacks for such disks; empty when it can have them. The first call moves this
// process into a mount namespace of its own, so that nothing stays mounted after it.
std::string WhatIsMissing(const std::string& file_system);

class Disk {
 public:
  // A new disk in `folder`, formatted. `file_system`: ext4, xfs or btrfs. `options`: more of them
  // for mount(8), such as "notreelog".
  Disk(const integration::ScratchFolder& folder, const std::string& file_system,
       const std::string& options = "");
  ~Disk();

  // Makes a new, empty file system; unmounted only.
  void Format();
  // Turns the power on and mounts the file system, checked first if it cannot be mounted as it is.
  // What went wrong, or empty.
  std::string Mount();
  // Turns the power off. What had not been flushed is gone; whoever still uses the disk gets EIO.
  void Cut();
  // After Cut, and once nobody uses the disk any more.
  void Unmount();

  // From now on every write fails with EIO, or no longer.
  void FailWrites(bool fail);

  // Where the file system is mounted.
  const std::string& path() const { return mount_point_; }

 private:
  integration::Command Tool(std::vector<std::string> argv) const;

  const std::string file_system_;
  const std::string mount_options_;
  const std::string image_;
  const std::string log_;
  const std::string socket_;
  const std::string listening_;  // nbdkit's pid, written once its socket takes connections
  const std::string device_;     // the file that nbdfuse makes of the image
  const std::string mount_point_;
  const std::string write_errors_;               // while this file exists, writes fail
  std::unique_ptr<integration::Process> power_;  // nbdkit
  std::unique_ptr<integration::Process> cable_;  // nbdfuse
};

}  // namespace ckpt::crash
