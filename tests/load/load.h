// A daemon under load, and how it is.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ckpt/v1/admin_service.grpc.pb.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/scratch_folder.h"
#include "tests/wire/wire.h"

namespace ckpt::load {

// Open file descriptors and threads of a process.
int64_t DescriptorsOf(pid_t process);
int64_t ThreadsOf(pid_t process);

class LoadTest : public testing::Test {
 protected:
  explicit LoadTest(std::vector<std::string> flags = {});

  // A connection of its own.
  std::shared_ptr<grpc::Channel> Connect() const;
  v1::Status Status();
  // Another trainer's whole life, on a connection of its own: an event, a decision, an upload, a
  // commit. What "others keep their service" means.
  void ExpectService(const std::string& run);
  // Returns when as many trainers are connected; each end of a stream is told by the stream itself,
  // so the daemon is asked again only as often as it answers.
  void AwaitTrainers(int64_t trainers);

  pid_t pid() const { return daemon_.pid(); }

  integration::ScratchFolder folder_;
  integration::DaemonProcess daemon_;
};

}  // namespace ckpt::load
