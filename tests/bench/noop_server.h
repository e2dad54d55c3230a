// The baseline: a gRPC server of the same services, in its own process as the daemon is, that
// reads every message and does nothing with it.
#pragma once

#include <cstdint>
#include <string>

namespace ckpt::bench {

// What uploads and downloads come in, as with the daemon.
inline constexpr int64_t kChunkBytes = 512 << 10;

// Serves at `address` ("unix:PATH") until a signal ends the process; prints "ready" when it takes
// calls. Gives the exit code if it cannot.
int ServeNoop(const std::string& address);

}  // namespace ckpt::bench
