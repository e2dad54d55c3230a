// One part on its way to the daemon.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "ckpt/v1/weight_service.grpc.pb.h"
#include "storage/base/digest.h"

namespace ckpt::client {

// Survives broken streams: each Attempt goes on where the daemon says it can. Used by one thread at
// a time.
class PartUpload {
 public:
  // `start` names the target and the part; `bytes` stay valid and unchanged while this lives.
  PartUpload(v1::UploadStart start, std::string_view bytes);

  // Takes one stream, blocking until the daemon has the whole part or the stream has failed.
  // `context` may be cancelled from any thread. Errors: those of WeightService.Upload.
  absl::StatusOr<v1::UploadFinished> Attempt(v1::WeightService::Stub& stub,
                                             const std::string& server,
                                             grpc::ClientContext& context);

  // Whether the daemon has taken bytes since the last call.
  bool TakeProgress();

 private:
  class Call;

  // The chunk at `offset`, of at most `max_bytes`.
  void FillChunk(int64_t offset, int64_t max_bytes, v1::UploadChunk* chunk);
  void FillFinish(v1::UploadFinish* finish);
  void Accepted(int64_t offset);

  const v1::UploadStart start_;
  const std::string_view bytes_;
  StreamDigest digest_;  // of bytes_ up to digest_.size()
  int64_t accepted_ = 0;
  bool progressed_ = false;
};

}  // namespace ckpt::client
