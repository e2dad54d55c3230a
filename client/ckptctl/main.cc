#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "client/ckptctl/command_line.h"

namespace {

// Width of the terminal; 80 where there is none.
int Columns() {
  winsize size = {};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? std::max<int>(size.ws_col, 40) : 80;
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  return ckpt::ctl::RunCommandLine({argv + 1, argv + argc},
                                   {.in = std::cin,
                                    .out = std::cout,
                                    .err = std::cerr,
                                    .in_is_terminal = isatty(STDIN_FILENO) == 1,
                                    .err_is_terminal = isatty(STDERR_FILENO) == 1,
                                    .columns = Columns()});
}
