// Saves as the server makes them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ckpt/v1/resources.pb.h"
#include "storage/base/clock.h"
#include "storage/blob/part_io.h"
#include "storage/fs/file_system.h"

namespace ckpt::storage {

class FakeClock final : public Clock {
 public:
  int64_t UnixNanos() const override { return now; }
  int64_t now = 1'700'000'000'000'000'000;
};

// A save of run `run` that one policy chose under each of `filepaths`.
v1::Checkpoint MakeSave(
    std::string_view run, int id, const std::vector<std::string>& filepaths,
    v1::StorageOptions::Projection projection = v1::StorageOptions::PROJECTION_UNSPECIFIED);

// Appends `bytes` in pieces, as chunks arrive.
absl::Status AppendAll(PartWriter& writer, std::string_view bytes, size_t piece = 1 << 20);

// XXH3-128 of `bytes`.
std::string DigestOf(std::string_view bytes);

// All blocks of a part.
absl::StatusOr<std::string> ReadAll(PartReader& reader);

}  // namespace ckpt::storage
