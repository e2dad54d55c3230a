// The Unix socket for hand-over in shared memory: proto/ckpt/v1/local.proto.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "ckpt/v1/config.pb.h"
#include "server/local/slot.h"
#include "server/server_context.h"

namespace ckpt::server {

// One thread waits for all connections and never blocks; the disk threads of the executors store.
class LocalServer {
 public:
  // Listens at `config.socket`, an absolute path; `config` is complete. A socket that nobody
  // answers at is replaced. FIELD_INVALID: the path is too long, is something else than a socket,
  // is used by another process, or cannot be made.
  static absl::StatusOr<std::unique_ptr<LocalServer>> Start(const v1::LocalConfig& config,
                                                            const ServerContext& context);
  // To be destroyed when the executors have stopped and are still there.
  virtual ~LocalServer() = default;

  // What a trainer shows to be let in: 16 random bytes of this start.
  virtual const std::string& token() const = 0;
  // Slots and files that are held, and their bytes.
  virtual const SlotMemory& slot_memory() const = 0;

  // No more connections, and no more requests on those there are; what was submitted goes on, also
  // once runs take no saves any more. May be called again.
  virtual void StopTaking() = 0;
  // Returns when what was submitted is stored; what has not begun to be at `deadline` fails.
  virtual void FinishStoring(std::chrono::system_clock::time_point deadline) = 0;
};

}  // namespace ckpt::server
