// Checkpoints as local files.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "ckpt/client.h"
#include "client/cpp/src/download.h"

namespace ckpt::client {

// Hands the bytes of `part` from `offset` on to `sink`.
using PartReader = std::function<absl::Status(const v1::Part& part, int64_t offset, ByteSink sink)>;

// Writes the parts of `checkpoint` that `options` names to `path`; see Client::Fetch.
absl::Status FetchCheckpoint(const v1::Checkpoint& checkpoint, const std::string& path,
                             const FetchOptions& options, const PartReader& read);

// The parts of `checkpoint` with this rank and name (empty: all of the rank). PART_NOT_FOUND if
// there is none.
absl::StatusOr<std::vector<v1::Part>> SelectParts(const v1::Checkpoint& checkpoint, int rank,
                                                  std::string_view part);

// The one part of rank 0 with this name; with an empty one, the only part. FIELD_INVALID: there are
// several. PART_NOT_FOUND.
absl::StatusOr<v1::Part> SelectOnePart(const v1::Checkpoint& checkpoint, std::string_view part);

}  // namespace ckpt::client
