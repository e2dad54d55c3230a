// Machine-readable reasons of the errors that Run and Client return. Thread-safe and pure.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "ckpt/v1/errors.pb.h"

namespace ckpt {

using ErrorMetadata = std::map<std::string, std::string>;

// The reason attached to `status`; ERROR_REASON_UNSPECIFIED when there is none.
v1::ErrorReason ReasonOf(const absl::Status& status);

// The values its message names, by the keys that errors.proto lists; empty when there are none.
ErrorMetadata MetadataOf(const absl::Status& status);

}  // namespace ckpt
