// What every command gets.
#pragma once

#include <functional>
#include <istream>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "ckpt/client.h"

namespace ckpt::ctl {

enum class Format { kTable, kWide, kJson, kCsv, kName };

// The terminal, or what stands in for it in a test.
struct Streams {
  std::istream& in;
  std::ostream& out;  // data
  std::ostream& err;  // everything else
  bool in_is_terminal = false;
  bool err_is_terminal = false;
  int columns = 80;  // of the terminal that `out` is, 40 or more
};

// One invocation.
struct Context {
  Streams streams;
  std::string server;  // empty: as ClientOptions.server
  Format format = Format::kTable;
  double timeout_seconds = 30;
  // The command that was typed, with its arguments. Set by the parser.
  std::function<absl::Status()> command;

  std::chrono::milliseconds timeout() const {
    return std::chrono::milliseconds(static_cast<int64_t>(timeout_seconds * 1000));
  }
  Client Connect() const { return Client({.server = server, .timeout = timeout()}); }
};

}  // namespace ckpt::ctl
