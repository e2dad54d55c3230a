#include "server/scrubber.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

constexpr int kPiecesBetweenKeeping = 64;

}  // namespace

Scrubber::Scrubber(storage::CheckpointStore& store, Executors& executors, Metrics& metrics,
                   const Clock& clock, const v1::ScrubConfig& config)
    : store_(store),
      executors_(executors),
      metrics_(metrics),
      clock_(clock),
      interval_(std::chrono::hours(config.interval_hours())),
      bytes_per_second_(int64_t{config.mib_per_second()} << 20),
      strand_(executors.NewDiskStrand()) {}

void Scrubber::Start() {
  if (interval_.count() == 0) return;
  strand_.Post([this] {
    auto state = store_.GetScrubState();
    if (!state.ok()) return GiveUp(state.status());
    state_ = *std::move(state);
    state_.position().empty() ? Schedule() : GoOn();
  });
}

std::chrono::milliseconds Scrubber::UntilNextRound(std::chrono::milliseconds interval,
                                                   std::chrono::milliseconds since) {
  return std::clamp(interval - since, std::chrono::milliseconds(0), interval);
}

void Scrubber::Schedule() {
  using std::chrono::milliseconds;
  const auto since = std::chrono::duration_cast<milliseconds>(
      std::chrono::nanoseconds(clock_.UnixNanos() - state_.begin_unix_nanos()));
  After(UntilNextRound(interval_, since), &Scrubber::BeginRound);
}

void Scrubber::BeginRound() {
  state_.clear_position();
  state_.set_begin_unix_nanos(clock_.UnixNanos());
  damages_ = 0;
  if (absl::Status kept = store_.SetScrubState(state_); !kept.ok()) return GiveUp(kept);
  GoOn();
}

void Scrubber::GoOn() {
  auto verification = store_.Verify({.run = {}, .after = state_.position()});
  if (!verification.ok()) return GiveUp(verification.status());
  verification_ = *std::move(verification);
  pace_ = std::make_unique<Pace>(bytes_per_second_);
  bytes_ = 0;
  DoPiece();
}

void Scrubber::DoPiece() {
  v1::VerifyResponse response;
  if (absl::Status status = verification_->Step(&response); !status.ok()) return GiveUp(status);
  Report(response);
  if (response.done()) return EndRound();
  state_.set_position(response.position().empty() ? state_.position() : response.position());
  if (++pieces_ >= kPiecesBetweenKeeping) {
    pieces_ = 0;
    if (absl::Status kept = store_.SetScrubState(state_); !kept.ok()) return GiveUp(kept);
  }
  After(pace_->Wait(response.bytes()), &Scrubber::DoPiece);
}

void Scrubber::Report(const v1::VerifyResponse& response) {
  metrics_.scrub_bytes.Add(static_cast<double>(response.bytes() - bytes_));
  bytes_ = response.bytes();
  for (const v1::Damage& damage : response.damages()) {
    ++damages_;
    spdlog::error("scrub: {} is damaged ({}{}{}): {}; see 'ckptctl verify --repair'",
                  damage.checkpoint(), v1::Damage::Kind_Name(damage.kind()),
                  damage.part().empty() && damage.filepath().empty() ? "" : " ",
                  damage.part().empty() ? damage.filepath() : damage.part(), damage.message());
  }
  // A new round has not seen yet what the last one saw: the gauge only rises until its end.
  metrics_.damaged_parts.Set(
      std::max(metrics_.damaged_parts.Value(), static_cast<double>(damages_)));
}

void Scrubber::EndRound() {
  metrics_.damaged_parts.Set(static_cast<double>(damages_));
  spdlog::info("scrub: everything has been verified, {} damages", damages_);
  verification_.reset();
  state_.clear_position();
  if (absl::Status kept = store_.SetScrubState(state_); !kept.ok()) return GiveUp(kept);
  Schedule();
}

void Scrubber::GiveUp(const absl::Status& status) {
  spdlog::warn("scrub: given up until the next round: {}", MessageOf(status));
  verification_.reset();
  After(interval_, &Scrubber::BeginRound);
}

// Always by a timer: timers are dropped when the threads end, and with them the scrubber.
void Scrubber::After(std::chrono::milliseconds delay, void (Scrubber::*next)()) {
  executors_.PostAfter(delay, strand_, [this, next] { (this->*next)(); });
}

}  // namespace ckpt::server
