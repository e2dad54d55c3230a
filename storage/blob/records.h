// The JSON records that lie beside the parts: sessions and manifests. Pure.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/records.pb.h"
#include "ckpt/v1/resources.pb.h"

namespace ckpt::storage {

// Most bytes of a record: the block digests of about 70 TiB.
inline constexpr int64_t kMaxRecordBytes = 256 << 20;

// proto3 JSON of a record, with a newline at the end. LIMIT_EXCEEDED above kMaxRecordBytes.
absl::StatusOr<std::string> EncodeSession(const v1::PartSession& session);
absl::StatusOr<std::string> EncodeManifest(const v1::Manifest& manifest);

// The reverse. What is returned is whole and consistent in itself: format version known, names
// valid, digests of the right length. INTERNAL with a text that says what is wrong otherwise;
// VERSION_TOO_NEW.
absl::StatusOr<v1::PartSession> DecodeSession(std::string_view json);
absl::StatusOr<v1::Manifest> DecodeManifest(std::string_view json);

// Number of blocks of a part of `size` bytes.
int64_t BlockCount(int64_t size);

// The part without what only manifests hold.
v1::Part WithoutBlockDigests(v1::Part part);
v1::Checkpoint WithoutBlockDigests(v1::Checkpoint checkpoint);

// Order of parts: by rank, then name.
bool PartBefore(const v1::Part& a, const v1::Part& b);

}  // namespace ckpt::storage
