// `ckptd --rebuild-index`.
#pragma once

#include "absl/status/status.h"
#include "ckpt/v1/config.pb.h"

namespace ckpt::server {

// Makes the index of the configured data folder again, lets recovery bring the files in line with
// it, and says on standard output what has become of what. Errors of storage::RebuildIndex and
// CheckpointStore::Open.
absl::Status RebuildAndReport(const v1::DaemonConfig& config);

}  // namespace ckpt::server
