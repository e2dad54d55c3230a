#include "client/ckptctl/interrupt.h"

#include <unistd.h>

#include <csignal>
#include <cstring>

#include "client/ckptctl/exit_code.h"

namespace ckpt::ctl {
namespace {

// A signal handler reads it, so it is plain memory that nobody frees.
char message_to_write[1024];

extern "C" void WriteMessageAndExit(int /*signal*/) {
  const ssize_t ignored = write(STDERR_FILENO, message_to_write, strlen(message_to_write));
  static_cast<void>(ignored);
  _exit(kInterrupted);
}

}  // namespace

InterruptMessage::InterruptMessage(const std::string& message) {
  strncpy(message_to_write, message.c_str(), sizeof message_to_write - 1);
  std::signal(SIGINT, WriteMessageAndExit);
}

InterruptMessage::~InterruptMessage() { std::signal(SIGINT, SIG_DFL); }

}  // namespace ckpt::ctl
