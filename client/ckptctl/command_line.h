// ckptctl as a function.
#pragma once

#include <string>
#include <vector>

#include "client/ckptctl/context.h"
#include "client/ckptctl/exit_code.h"

namespace ckpt::ctl {

// Runs one command line (without the program's name). Never throws.
ExitCode RunCommandLine(const std::vector<std::string>& arguments, const Streams& streams);

}  // namespace ckpt::ctl
