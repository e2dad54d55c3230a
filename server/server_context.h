// What the services work with.
#pragma once

#include <string>

#include "ckpt/v1/admin_service.pb.h"
#include "ckpt/v1/training_service.pb.h"
#include "server/http/metrics.h"
#include "server/run/byte_budget.h"
#include "server/run/configured_policies.h"
#include "server/run/executors.h"
#include "server/run/run_registry.h"
#include "storage/checkpoint_store.h"

namespace ckpt::server {

// Outlives the gRPC server.
struct ServerContext {
  storage::CheckpointStore& store;
  Executors& executors;
  RunRegistry& runs;
  ByteBudget& upload_budget;
  Metrics& metrics;
  const ConfiguredPolicies& policies;
  v1::Limits limits;
  int max_streams = 0;
  // Fills in what only the daemon knows of its status: addresses, start, version, health.
  std::function<void(v1::Status&)> describe;
  // Of verifications whose caller does not say.
  int verify_mib_per_second = 0;
  // After which silence an upload's stream ends.
  std::chrono::seconds upload_idle{60};
  // For Welcomes; empty where there is no hand-over in shared memory.
  std::string local_socket = {};
  std::string local_token = {};
};

}  // namespace ckpt::server
