// The scheduled verification of everything stored.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "ckpt/v1/config.pb.h"
#include "ckpt/v1/records.pb.h"
#include "server/http/metrics.h"
#include "server/run/executors.h"
#include "server/run/pace.h"
#include "storage/base/clock.h"
#include "storage/checkpoint_store.h"

namespace ckpt::server {

// Verifies all checkpoints, one piece of 4 MiB after the other at the configured rate, on the disk
// threads; then waits until the next round is due. Where it stands is kept in the index, so that a
// restart goes on from there. What it finds it logs and counts; it repairs nothing.
class Scrubber {
 public:
  // All outlive the executors' threads, and so must this. `config` has its defaults filled in.
  Scrubber(storage::CheckpointStore& store, Executors& executors, Metrics& metrics,
           const Clock& clock, const v1::ScrubConfig& config);

  // Once. Thread-safe, as it only posts.
  void Start();

  // How long to wait for the round after one that began `since` ago: negative if the wall clock has
  // been set back since, and then no longer than an interval.
  static std::chrono::milliseconds UntilNextRound(std::chrono::milliseconds interval,
                                                  std::chrono::milliseconds since);

 private:
  void Schedule();
  void BeginRound();
  void GoOn();
  void DoPiece();
  void Report(const v1::VerifyResponse& response);
  void EndRound();
  // After an error: the next round is tried when it is due.
  void GiveUp(const absl::Status& status);
  void After(std::chrono::milliseconds delay, void (Scrubber::*next)());

  storage::CheckpointStore& store_;
  Executors& executors_;
  Metrics& metrics_;
  const Clock& clock_;
  const std::chrono::milliseconds interval_;
  const int64_t bytes_per_second_;
  SerialExecutor strand_;

  // Used on the strand only.
  v1::ScrubState state_;
  std::unique_ptr<storage::Verification> verification_;
  std::unique_ptr<Pace> pace_;
  int64_t bytes_ = 0;    // of this verification, counted
  int64_t damages_ = 0;  // of this round
  int pieces_ = 0;       // since the state was kept
};

}  // namespace ckpt::server
