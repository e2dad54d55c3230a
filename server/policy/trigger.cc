#include "server/policy/trigger.h"

namespace ckpt::policy {
namespace {

void CountBatch(int64_t batch, bool due, v1::PolicyState& state) {
  const int64_t added = BatchesBetween(state.last_batch(), batch);
  state.set_last_batch(batch);
  state.set_batches_since_attempt(due ? 0 : state.batches_since_attempt() + added);
}

}  // namespace

int64_t BatchesBetween(int64_t last, int64_t index) {
  return index <= last ? index + 1 : index - last;
}

bool IsDue(const Policy& policy, const EventView& event, const v1::PolicyState& state) {
  switch (event.kind) {
    case v1::Event::KIND_BATCH_END:
      return !policy.every_epoch() && BatchesBetween(state.last_batch(), event.batch) >=
                                          policy.every_n_batches() - state.batches_since_attempt();
    case v1::Event::KIND_EPOCH_END:
      return policy.every_epoch() && state.epochs_since_attempt() + 1 >= policy.period();
    default:
      return false;
  }
}

std::optional<Attempt> Advance(const Policy& policy, const EventView& event,
                               v1::PolicyState& state) {
  const bool due = IsDue(policy, event, state);
  switch (event.kind) {
    case v1::Event::KIND_EPOCH_BEGIN:
      state.set_current_epoch(event.epoch);
      return std::nullopt;
    case v1::Event::KIND_BATCH_END:
      if (!policy.every_epoch()) CountBatch(event.batch, due, state);
      if (!due) return std::nullopt;
      state.set_epochs_since_attempt(0);
      return Attempt{state.current_epoch(), event.batch};
    case v1::Event::KIND_EPOCH_END:
      state.set_epochs_since_attempt(due ? 0 : state.epochs_since_attempt() + 1);
      if (!due) return std::nullopt;
      return Attempt{event.epoch, std::nullopt};
    default:
      return std::nullopt;
  }
}

}  // namespace ckpt::policy
