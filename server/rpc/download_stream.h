// One Download call: a part on its way out.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "ckpt/v1/weight_service.grpc.pb.h"
#include "server/server_context.h"

namespace ckpt::server {

// Reactions only post to the stream's strand of disk threads. One verified block of 4 MiB is in
// memory at a time, sent in chunks; the next is read when the last chunk has been taken.
class DownloadStream final : public grpc::ServerWriteReactor<v1::DownloadResponse>,
                             public std::enable_shared_from_this<DownloadStream> {
 public:
  // `downloads` counts those under way; over kMaxDownloads the call ends with LIMIT_EXCEEDED.
  static DownloadStream* Start(const ServerContext& context, v1::DownloadRequest request,
                               std::atomic<int>& downloads);
  DownloadStream(const ServerContext& context, v1::DownloadRequest request,
                 std::atomic<int>& downloads);

  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  template <typename Fn>
  void Post(Fn fn);

  absl::Status Open();
  absl::Status PickRange();
  void SendHeader();
  void SendNext();
  absl::Status FillChunk();

  const ServerContext& context_;
  const v1::DownloadRequest request_;
  std::atomic<int>& downloads_;
  SerialExecutor strand_;
  std::shared_ptr<DownloadStream> self_;  // gRPC's hold; let go in OnDone

  // Used on the strand only.
  std::unique_ptr<storage::PartReader> reader_;
  int64_t next_ = 0;  // offset to be sent next
  int64_t end_ = 0;
  std::string block_;
  int64_t block_index_ = -1;
  v1::DownloadResponse response_;
};

}  // namespace ckpt::server
