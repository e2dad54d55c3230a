// The stream of one trainer process, as its run sees it.
#pragma once

#include "absl/status/status.h"
#include "ckpt/v1/training_service.pb.h"

namespace ckpt::server {

// Thread-safe; neither function blocks. After Close, Send does nothing.
class TrainerSession {
 public:
  virtual ~TrainerSession() = default;
  virtual void Send(v1::TrainResponse response) = 0;
  // Ends the stream with `status` once what was sent before is on its way.
  virtual void Close(absl::Status status) = 0;
};

}  // namespace ckpt::server
