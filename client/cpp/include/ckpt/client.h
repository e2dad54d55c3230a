// Questions to ckptd: runs, checkpoints, and their bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ckpt/v1/admin_service.pb.h"
#include "ckpt/v1/catalog_service.pb.h"
#include "ckpt/v1/resources.pb.h"

namespace ckpt {

struct ClientOptions {
  std::string server;  // "HOST:PORT" or "unix:PATH"; empty: $CKPT_SERVER, or else 127.0.0.1:7070
  // Limit for each call but downloads.
  std::chrono::milliseconds timeout = std::chrono::seconds(30);
};

struct FetchOptions {
  int rank = 0;
  std::string part;  // empty: every part of the rank; several become a folder
  // Called about every 4 MiB, on the calling thread.
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress;
};

// A connection to a daemon. Thread-safe. Errors are those of the services; ckpt::ReasonOf
// (storage/base/errors.h) tells the reason. UNAVAILABLE names the server that was tried.
class Client {
 public:
  explicit Client(const ClientOptions& options);
  ~Client();
  Client(Client&&) noexcept;

  const std::string& server() const;

  // Calls `each` for every run, in order of name, paging inside; stops when `each` returns false.
  absl::Status ListRuns(std::string_view filter, const std::function<bool(const v1::Run&)>& each);
  absl::StatusOr<v1::Run> GetRun(std::string_view run);
  absl::Status DeleteRun(std::string_view run);

  // `run` empty: all runs. As ListRuns.
  absl::Status ListCheckpoints(std::string_view run, std::string_view filter,
                               std::string_view order_by, int page_size,
                               const std::function<bool(const v1::Checkpoint&)>& each);
  // `id`: a number, "latest", "best" or "best:POLICY".
  absl::StatusOr<v1::Checkpoint> GetCheckpoint(std::string_view run, std::string_view id);
  absl::StatusOr<v1::Checkpoint> GetBest(std::string_view run, std::string_view metric,
                                         std::string_view mode, std::string_view policy);
  absl::Status DeleteCheckpoint(std::string_view run, std::string_view id);
  // Has the run saved now, by the trainer's next event, and waits for the checkpoint, up to `limit`
  // in all. `decided` is told of the save; when it returns false the save is returned as it is. The
  // save goes on whatever happens to the call. Errors: see CatalogService.SaveRun.
  absl::StatusOr<v1::Checkpoint> Save(std::string_view run, std::chrono::milliseconds limit,
                                      const std::function<bool(const v1::Checkpoint&)>& decided);
  absl::Status ListEvents(std::string_view run,
                          const std::function<bool(const v1::RecordedEvent&)>& each);
  // Points of metrics; `request` says which and how many, its `run` is set here.
  absl::StatusOr<v1::GetHistoryResponse> GetHistory(std::string_view run,
                                                    v1::GetHistoryRequest request);
  absl::StatusOr<v1::Status> GetStatus();

  // Has the daemon verify checkpoints; `each` gets every message. OK when it has come to its end,
  // whatever was found; the timeout does not limit it.
  absl::Status Verify(const v1::VerifyRequest& request,
                      const std::function<void(const v1::VerifyResponse&)>& each);
  // Has the daemon copy its data folder to the absolute path `path` on its host. As Verify.
  absl::Status Backup(std::string_view path,
                      const std::function<void(const v1::BackupResponse&)>& each);

  // Downloads a checkpoint to `path`: writes `path`.part, goes on with one left by an earlier
  // attempt at the same content, verifies the digest, syncs, renames. With several parts `path`
  // becomes a folder. On an error nothing appears at `path`. Returns the checkpoint that was
  // fetched. DATA_LOSS: the stored or received bytes are damaged.
  absl::StatusOr<v1::Checkpoint> Fetch(std::string_view run, std::string_view id,
                                       const std::string& path, const FetchOptions& options = {});
  // Hands the bytes of one part (empty: the only one) to `sink` in order, as they come; an error of
  // it ends the reading. What is handed on is as it was stored, or the rest is not: only OK says
  // that this was the whole part. DATA_LOSS as for Fetch.
  absl::Status Read(std::string_view run, std::string_view id, std::string_view part,
                    const std::function<absl::Status(std::string_view)>& sink);
  // The same, into memory.
  absl::StatusOr<std::string> Read(std::string_view run, std::string_view id,
                                   std::string_view part = {});

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ckpt
