// The argument `save_freq`, which is "epoch" or a number of batches.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

namespace google::protobuf {
class Value;
}

namespace ckpt::policy {

struct SaveFreq {
  bool every_epoch = true;
  int64_t every_n_batches = 1;  // at least 1; if !every_epoch
};

// Null means "epoch". SAVE_FREQ_INVALID, with the value as Python's str() shows it, for all but
// "epoch", whole numbers and booleans; `policy` is for the error.
absl::StatusOr<SaveFreq> ParseSaveFreq(std::string_view policy,
                                       const google::protobuf::Value& value);

}  // namespace ckpt::policy
