// What a run of the crash tests does: its policies, parts, metrics and bytes. All of it follows
// from the run's name and the moment, so that whoever looks at a checkpoint knows what it must
// hold.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ckpt/v1/policy.pb.h"

namespace ckpt::crash {

// The end of an epoch, or of a batch in it. A trainer never has the same moment twice.
struct Moment {
  int64_t epoch = 0;
  int64_t batch = -1;  // -1: the end of the epoch, which comes after its batches

  bool is_epoch_end() const { return batch < 0; }
  friend bool operator==(const Moment&, const Moment&) = default;
  std::strong_ordering operator<=>(const Moment& other) const;
};
std::string Text(const Moment& moment);

struct Plan {
  std::string run;
  std::vector<v1::CheckpointPolicy> policies;
  std::vector<std::string> parts;
  int batches = 0;  // batch ends in each epoch
};

// The kinds of runs; a run's id is a kind, a dash and anything.
const std::vector<std::string>& Kinds();
Plan PlanOf(const std::string& run);

// Falls with the epochs, with so much noise that about every third is a new best. Bounded below
// only by the number of epochs.
double ValLoss(const Plan& plan, const Moment& moment);
// Names hold it, so that a run has as many checkpoints as there are slots, and overwrites them.
int64_t Slot(const Plan& plan, const Moment& moment);
// Name that `policy` gives to a checkpoint of the moment.
std::string PathOf(const Plan& plan, const v1::CheckpointPolicy& policy, const Moment& moment);

// Begins with a line that says what it is; ParseContent reads it.
std::string Content(const Plan& plan, const Moment& moment, std::string_view part);

// What `bytes` say they are; nothing unless they are exactly the content of that moment and part.
struct ContentId {
  Moment moment;
  std::string part;
};
std::optional<ContentId> ParseContent(const Plan& plan, std::string_view bytes);

}  // namespace ckpt::crash
