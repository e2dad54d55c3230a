// What GetHistory asks of the store, and how it is answered.
#pragma once

#include "absl/status/status.h"
#include "ckpt/v1/catalog_service.pb.h"
#include "storage/checkpoint_store.h"

namespace ckpt::server {

// NAME_INVALID, FIELD_INVALID, RUN_NOT_FOUND, and the errors of the store. May block on the disk.
absl::Status GetHistoryOf(const storage::CheckpointStore& store,
                          const v1::GetHistoryRequest& request, v1::GetHistoryResponse* response);

}  // namespace ckpt::server
