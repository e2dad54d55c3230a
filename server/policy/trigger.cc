#include "server/policy/trigger.h"

namespace ckpt::policy {
namespace {

// Whether enough batches have been counted.
bool CountBatch(const Policy& policy, int64_t batch, v1::PolicyState& state) {
  const int64_t added = BatchesBetween(state.last_batch(), batch);
  state.set_last_batch(batch);
  if (added < policy.every_n_batches() - state.batches_since_attempt()) {
    state.set_batches_since_attempt(state.batches_since_attempt() + added);
    return false;
  }
  state.set_batches_since_attempt(0);
  return true;
}

}  // namespace

int64_t BatchesBetween(int64_t last, int64_t index) {
  return index <= last ? index + 1 : index - last;
}

std::optional<Attempt> Advance(const Policy& policy, const EventView& event,
                               v1::PolicyState& state) {
  switch (event.kind) {
    case v1::Event::KIND_EPOCH_BEGIN:
      state.set_current_epoch(event.epoch);
      return std::nullopt;
    case v1::Event::KIND_BATCH_END:
      if (policy.every_epoch() || !CountBatch(policy, event.batch, state)) return std::nullopt;
      state.set_epochs_since_attempt(0);
      return Attempt{state.current_epoch(), event.batch};
    case v1::Event::KIND_EPOCH_END:
      state.set_epochs_since_attempt(state.epochs_since_attempt() + 1);
      if (!policy.every_epoch() || state.epochs_since_attempt() < policy.period()) {
        return std::nullopt;
      }
      state.set_epochs_since_attempt(0);
      return Attempt{event.epoch, std::nullopt};
    default:
      return std::nullopt;
  }
}

}  // namespace ckpt::policy
