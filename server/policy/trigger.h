// When a policy attempts a save: the counters of epochs and batches.
#pragma once

#include <cstdint>
#include <optional>

#include "ckpt/v1/policy.pb.h"
#include "server/policy/decide.h"

namespace ckpt::policy {

// A save to be tried. Indices are 0-based, as the file name takes them.
struct Attempt {
  int64_t epoch = 0;
  std::optional<int64_t> batch;  // unset at an epoch's end
};

// Whether `policy` attempts a save at `event`, which `state` has not counted yet.
bool IsDue(const Policy& policy, const EventView& event, const v1::PolicyState& state);

// Counts `event` in `state` and tells whether `policy` attempts a save at it. The counter that led
// to an attempt starts again at 0, whatever comes of it.
std::optional<Attempt> Advance(const Policy& policy, const EventView& event,
                               v1::PolicyState& state);

// How far the batch index `index` is on from `last`, the one before it. An index that is not above
// `last` begins a new epoch, whose batches up to it are counted; 0 stands for no batch so far.
int64_t BatchesBetween(int64_t last, int64_t index);

}  // namespace ckpt::policy
