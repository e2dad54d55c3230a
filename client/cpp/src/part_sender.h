// The seam between saves and the ways to hand their bytes over.
#pragma once

#include "absl/status/statusor.h"
#include "ckpt/v1/weight_service.pb.h"

namespace ckpt::client {

// One part of a save or stage, on its way to the daemon. Holds what it needs of the bytes. Used by
// one thread at a time, but for Cancel.
class PartSender {
 public:
  virtual ~PartSender() = default;

  // Blocks until the daemon has the whole part or the attempt has failed; another one may follow.
  // Errors, by whatever way: those of WeightService.Upload, UNAVAILABLE when the daemon is gone.
  virtual absl::StatusOr<v1::UploadFinished> Attempt() = 0;
  // Whether the daemon has taken bytes since the last call.
  virtual bool TakeProgress() = 0;
  // From any thread: this attempt and all later ones end soon.
  virtual void Cancel() = 0;
};

}  // namespace ckpt::client
