// The daemon put together.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ckpt/v1/config.pb.h"

namespace ckpt::server {

class Daemon {
 public:
  // Opens the data folder, recovers, listens. `config` comes from LoadConfig.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const v1::DaemonConfig& config);
  virtual ~Daemon() = default;

  // gRPC addresses, with the ports chosen for port 0.
  virtual const std::vector<std::string>& addresses() const = 0;
  // HTTP address; empty when off.
  virtual std::string http_address() const = 0;
  virtual const std::string& data_dir() const = 0;

  // Stops in good order: takes nothing new, tells trainers to come back, lets uploads finish within
  // the configured grace, and returns when everything received is durable. Once.
  virtual void Shutdown() = 0;
};

}  // namespace ckpt::server
