// One Upload call: a part on its way in.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <string_view>

#include "ckpt/v1/weight_service.grpc.pb.h"
#include "server/rpc/upload_message.h"
#include "server/rpc/upload_window.h"
#include "server/run/upload_target.h"
#include "server/server_context.h"

namespace ckpt::server {

// Reactions only post to the stream's own strand of disk threads; everything else happens there,
// one thing at a time, and so every operation on the stream is started there and none after Finish.
//
// Memory comes from a budget that all uploads share, a chunk at a time. A stream waits for its
// first grant and takes some ahead while there are plenty; it tells the sender to send as much as
// it holds. That bounds the memory of all uploads together and slows senders down to what the disk
// takes. Two messages take turns: while one is hashed and written, the next arrives. There are
// never more of them than grants, whether the sender keeps to its window or not; one that sends
// larger chunks than it may has the first of them refused when it is there, 4 MiB at most.
class UploadStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                           public std::enable_shared_from_this<UploadStream> {
 public:
  static UploadStream* Start(const ServerContext& context);
  explicit UploadStream(const ServerContext& context);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  template <typename Fn>
  void Post(Fn fn);

  void WaitForGrant();
  void Granted();
  void TakeAhead();
  void Hold();
  void GiveBack(int grants);

  // Reads on if there is memory for one more message than the `present` ones.
  void ReadNext(int present);
  void Arrived(bool ok);
  void OnMessage(const UploadMessage& message);
  void WatchIdle();

  void OnStart(const v1::UploadStart& start);
  void Opened(int64_t offset, absl::StatusOr<UploadTarget> opened);
  void OpenPart(int64_t offset);
  void OnChunk(const UploadMessage& message);
  absl::Status Append(const v1::UploadChunk& chunk, std::span<const std::string_view> data);
  void Taken();
  void OnFinish(const v1::UploadFinish& finish);
  void Finished(v1::Part part, absl::StatusOr<v1::Checkpoint> checkpoint);

  void TellProgress();
  void Respond(const v1::UploadResponse& response);
  void WriteNext();
  // Ends the call once the responses so far are written.
  void Close(absl::Status status);

  const ServerContext& context_;
  SerialExecutor strand_;
  std::shared_ptr<UploadStream> self_;  // gRPC's hold; let go in OnDone

  // Used on the strand only.
  UploadWindow window_;
  grpc::ByteBuffer request_;
  bool reading_ = false;                 // a read is under way
  uint64_t moves_ = 0;                   // begins and ends of reads: does the stream move?
  std::deque<grpc::ByteBuffer> unsent_;  // front is being written
  bool writing_ = false;
  bool closing_ = false;
  bool ended_ = false;  // Finish was called
  absl::Status close_status_;
  bool started_ = false;
  std::shared_ptr<RunActor> run_;  // of a save; null for a stage
  storage::PartTarget target_;
  std::unique_ptr<storage::PartWriter> writer_;
  v1::UploadProgress told_;  // to the sender, last
};

}  // namespace ckpt::server
