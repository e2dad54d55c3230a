// The baseline: a gRPC server of the same services, in its own process as the daemon is, that
// reads every message and does nothing with it.
#pragma once

#include <string>

namespace ckpt::bench {

// Serves at `address` ("unix:PATH") with stream windows that grow, as gRPC has them by default, and
// beside it with the daemon's, until a signal ends the process; prints "ready" when it takes calls.
// Gives the exit code if it cannot.
int ServeNoop(const std::string& address);
// Where the second one serves.
inline std::string FixedWindows(const std::string& address) { return address + ".fixed"; }

}  // namespace ckpt::bench
