#include <unistd.h>

#include <iostream>

#include "client/ckptctl/command_line.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  return ckpt::ctl::RunCommandLine({argv + 1, argv + argc},
                                   {.in = std::cin,
                                    .out = std::cout,
                                    .err = std::cerr,
                                    .in_is_terminal = isatty(STDIN_FILENO) == 1,
                                    .err_is_terminal = isatty(STDERR_FILENO) == 1});
}
