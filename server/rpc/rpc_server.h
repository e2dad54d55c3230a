// The gRPC server: services, health, reflection, listeners.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/server_context.h"

namespace ckpt::server {

struct RpcOptions {
  std::vector<std::string> listen;  // HOST:PORT or unix:PATH
  bool reflection = true;
  // After which silence a client is asked whether it is there.
  std::chrono::seconds keepalive{30};
};

class RpcServer {
 public:
  // Listens. FAILED_PRECONDITION naming the address and why it cannot be had.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const RpcOptions& options,
                                                          const ServerContext& context);
  virtual ~RpcServer() = default;

  // Addresses with the ports that were chosen for port 0.
  virtual const std::vector<std::string>& addresses() const = 0;
  // What grpc.health.v1 says, of the server and of each service.
  virtual void SetServing(bool serving) = 0;
  // Accepts nothing more, waits for the calls under way, cancels those left at `deadline`, and
  // returns when all are gone.
  virtual void Shutdown(std::chrono::system_clock::time_point deadline) = 0;
};

}  // namespace ckpt::server
