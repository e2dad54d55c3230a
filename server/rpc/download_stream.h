// One Download call: a part on its way out.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "ckpt/v1/weight_service.pb.h"
#include "server/server_context.h"

namespace ckpt::server {

// Blocks of 4 MiB are read and verified on the stream's strand of disk threads, and sent in chunks
// from where they are; reactions only go on with what is ready. While one block is being sent the
// next is read, if the stream reads ahead: whoever takes nothing holds two up, or else one.
class DownloadStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                             public std::enable_shared_from_this<DownloadStream> {
 public:
  // `downloads` counts those under way. Beyond kDownloadsAhead they do not read ahead; beyond
  // kMaxDownloads the call ends with LIMIT_EXCEEDED.
  static DownloadStream* Start(const ServerContext& context, const grpc::ByteBuffer& request,
                               std::atomic<int>& downloads);
  DownloadStream(const ServerContext& context, std::atomic<int>& downloads, int64_t ahead);

  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  struct Message {
    grpc::ByteBuffer buffer;
    int64_t bytes = 0;  // of the part
  };

  template <typename Fn>
  void Post(Fn fn);

  // On the strand.
  absl::Status Open(grpc::ByteBuffer request);
  absl::Status PickRange(const v1::DownloadRequest& request);
  void SendHeader();
  absl::Status SendBlock();

  // False if the call is over.
  bool Send(Message message);
  // What was to be read has been sent, or cannot be.
  void Did(const absl::Status& status);
  // Does what is due. Needs mutex_.
  void GoOn();

  const ServerContext& context_;
  std::atomic<int>& downloads_;
  const int64_t ahead_;  // the next block is read when no more than these bytes are unsent
  SerialExecutor strand_;
  std::shared_ptr<DownloadStream> self_;  // gRPC's hold; let go in OnDone

  // Used on the strand only.
  std::unique_ptr<storage::PartReader> reader_;
  int64_t next_ = 0;  // offset to be read next
  int64_t end_ = 0;

  std::mutex mutex_;
  std::deque<Message> unsent_;         // guarded by mutex_; the front is being written if writing_
  int64_t unsent_bytes_ = 0;           // guarded by mutex_
  bool writing_ = false;               // guarded by mutex_
  bool reading_ = true;                // guarded by mutex_; the strand is at work
  bool finished_ = false;              // guarded by mutex_
  std::optional<grpc::Status> ended_;  // guarded by mutex_; nothing follows what is unsent but this
};

}  // namespace ckpt::server
