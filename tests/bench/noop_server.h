// The baseline: a gRPC server of the same services, in its own process as the daemon is, that
// reads every message and does nothing with it.
#pragma once

#include <string>

namespace ckpt::bench {

// Serves at `address` ("unix:PATH") until a signal ends the process; prints "ready" when it takes
// calls. Gives the exit code if it cannot.
int ServeNoop(const std::string& address);

}  // namespace ckpt::bench
