// A RunState with a trainer, for tests.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/run/run_state.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::server {

inline v1::CheckpointPolicy BestPolicy(const std::string& name = "best") {
  v1::CheckpointPolicy policy;
  policy.set_name(name);
  policy.set_filepath("m-{epoch:02d}");
  policy.set_monitor("loss");
  policy.set_mode("min");
  policy.set_save_best_only(true);
  return policy;
}

inline v1::Event EpochEnd(uint64_t seq, int64_t epoch, double loss, uint32_t metric_id = 7) {
  v1::Event event;
  event.set_seq(seq);
  event.set_kind(v1::Event::KIND_EPOCH_END);
  event.set_epoch(epoch);
  event.add_metric_ids(metric_id);
  event.add_values(loss);
  return event;
}

inline v1::EventBatch Batch(std::vector<v1::Event> events, bool name_loss = true) {
  v1::EventBatch batch;
  if (name_loss) {
    batch.add_metrics()->set_id(7);
    batch.mutable_metrics(0)->set_name("loss");
  }
  for (v1::Event& event : events) *batch.add_events() = std::move(event);
  return batch;
}

class RunFixture : public testing::Test {
 protected:
  static RunState NewRun() {
    storage::RunSnapshot snapshot;
    snapshot.run.set_name("runs/r");
    return RunState(std::move(snapshot));
  }

  static absl::StatusOr<RunState::Attached> Attach(
      RunState& state, std::vector<v1::CheckpointPolicy> policies = {BestPolicy()},
      v1::Hello hello = {}) {
    hello.set_run("runs/r");
    return state.Attach(hello, std::move(policies), std::nullopt, 1'000'000'000);
  }

  static RunState::Taken Take(RunState& state, const v1::EventBatch& batch) {
    RunState::Intake intake{std::make_shared<v1::EventBatch>(batch)};
    return state.Take(
        intake, [](std::string_view) { return absl::OkStatus(); }, 2'000'000'000);
  }

  // What a new daemon would be given after `updates`.
  static storage::RunSnapshot Reload(const std::vector<storage::RunUpdate>& updates) {
    storage::RunSnapshot snapshot;
    for (const storage::RunUpdate& update : updates) {
      if (update.run_row) snapshot.run = *update.run_row;
      if (update.progress) snapshot.progress = *update.progress;
      for (const auto& metric : update.new_metrics) snapshot.metrics.push_back(metric);
      for (const auto& save : update.opened_saves) snapshot.open_saves.push_back(save);
      for (const std::string& id : update.closed_saves) {
        std::erase_if(snapshot.open_saves, [&](const v1::Checkpoint& save) {
          return save.name() == CheckpointName("r", id);
        });
      }
      for (const v1::Checkpoint& committed : update.committed) {
        std::erase_if(snapshot.open_saves,
                      [&](const v1::Checkpoint& save) { return save.name() == committed.name(); });
      }
    }
    return snapshot;
  }
};

}  // namespace ckpt::server
