#include "server/rpc/upload_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

#include "server/rpc/grpc_status.h"
#include "server/rpc/message_buffer.h"
#include "storage/base/digest.h"
#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

// Chunks on their way from one sender: one that is hashed and written, one that arrives, and one
// that bridges the time until the sender hears that it may go on.
constexpr int kMostGrants = 3;

size_t SizeOf(std::span<const std::string_view> pieces) {
  size_t size = 0;
  for (const std::string_view piece : pieces) size += piece.size();
  return size;
}

uint32_t Crc32cOf(std::span<const std::string_view> pieces) {
  uint32_t crc = 0;
  for (const std::string_view piece : pieces) crc = Crc32c(piece, crc);
  return crc;
}

std::vector<std::string_view> WithoutPrefix(std::span<const std::string_view> pieces,
                                            size_t prefix) {
  std::vector<std::string_view> rest;
  for (const std::string_view piece : pieces) {
    const size_t skipped = std::min(prefix, piece.size());
    prefix -= skipped;
    if (skipped < piece.size()) rest.push_back(piece.substr(skipped));
  }
  return rest;
}

}  // namespace

UploadStream* UploadStream::Start(const ServerContext& context) {
  auto stream = std::make_shared<UploadStream>(context);
  stream->self_ = stream;
  stream->Post([raw = stream.get()] {
    raw->WaitForGrant();
    raw->WatchIdle();
  });
  return stream.get();
}

UploadStream::UploadStream(const ServerContext& context)
    : context_(context),
      strand_(context.executors.NewDiskStrand()),
      window_(context.limits.max_chunk_bytes()) {}

template <typename Fn>
void UploadStream::Post(Fn fn) {
  strand_.Post([self = shared_from_this(), fn = std::move(fn)]() mutable { fn(); });
}

void UploadStream::OnReadDone(bool ok) {
  Post([this, ok] { Arrived(ok); });
}

void UploadStream::OnWriteDone(bool ok) {
  Post([this, ok] {
    writing_ = false;
    unsent_.pop_front();
    if (!ok) unsent_.clear();
    WriteNext();
    TellProgress();
  });
}

void UploadStream::OnCancel() {
  Post([this] { Close(absl::CancelledError("the uploader has gone")); });
}

void UploadStream::OnDone() {
  Post([this] {
    ended_ = true;
    writer_.reset();
    run_.reset();
    GiveBack(window_.Close());
  });
  self_.reset();
}

// ---- Memory.

void UploadStream::WaitForGrant() {
  context_.upload_budget.Acquire(context_.limits.max_chunk_bytes(), [self = shared_from_this()] {
    UploadStream* stream = self.get();
    stream->Post([stream] { stream->Granted(); });
  });
}

void UploadStream::Granted() {
  Hold();
  if (closing_) return GiveBack(window_.Close());
  TellProgress();
  ReadNext(0);
}

// Half of the budget is for the streams that wait for their only grant: what a sender that stalls
// was promised cannot be taken back.
void UploadStream::TakeAhead() {
  const int64_t bytes = context_.limits.max_chunk_bytes();
  const int64_t spare = context_.upload_budget.bytes() / 2;
  while (window_.held() < kMostGrants && context_.upload_budget.TryAcquire(bytes, spare)) Hold();
}

void UploadStream::Hold() {
  window_.Extend();
  context_.metrics.upload_memory.Add(static_cast<double>(context_.limits.max_chunk_bytes()));
}

void UploadStream::GiveBack(int grants) {
  if (grants == 0) return;
  const int64_t bytes = grants * context_.limits.max_chunk_bytes();
  context_.metrics.upload_memory.Add(-static_cast<double>(bytes));
  context_.upload_budget.Release(bytes);
}

// ---- Reading.

void UploadStream::ReadNext(int present) {
  if (closing_ || reading_ || window_.held() <= present) return;
  reading_ = true;
  ++moves_;
  StartRead(&request_);
}

void UploadStream::Arrived(bool ok) {
  reading_ = false;
  ++moves_;
  if (closing_) {
    request_.Clear();
    return GiveBack(window_.Close());
  }
  if (!ok) {
    return Close(ProtocolViolation("the stream ended without finish; what came can be resumed"));
  }
  {
    const auto message = UploadMessage::Parse(request_);
    request_.Clear();
    message.ok() ? OnMessage(*message) : Close(message.status());
  }
  if (writer_ != nullptr) Taken();  // a chunk, whose memory is free now
}

void UploadStream::OnMessage(const UploadMessage& message) {
  switch (message.request().message_case()) {
    case v1::UploadRequest::kStart:
      return OnStart(message.request().start());
    case v1::UploadRequest::kChunk:
      ReadNext(1);
      return OnChunk(message);
    case v1::UploadRequest::kFinish:
      return OnFinish(message.request().finish());
    default:
      return Close(ProtocolViolation("the message holds none of start, chunk, finish"));
  }
}

void UploadStream::WatchIdle() {
  context_.executors.PostAfter(
      context_.upload_idle, strand_, [weak = weak_from_this(), seen = moves_] {
        const auto stream = weak.lock();
        if (stream == nullptr || stream->ended_) return;
        // No read under way: the daemon is at work on what came, or waits for memory.
        if (stream->moves_ != seen || !stream->reading_) return stream->WatchIdle();
        stream->Close(absl::UnavailableError(
            "nothing came for too long (limits.upload_idle_seconds); resume the upload"));
      });
}

// ---- Start.

void UploadStream::OnStart(const v1::UploadStart& start) {
  if (started_) return Close(ProtocolViolation("start was sent already"));
  started_ = true;
  auto target = ReadUploadTarget(start, context_.limits);
  if (!target.ok()) return Close(target.status());
  target_ = *std::move(target);
  OpenUploadTarget(context_.store, context_.runs, target_,
                   [self = shared_from_this(),
                    offset = start.offset()](absl::StatusOr<UploadTarget> opened) mutable {
                     UploadStream* stream = self.get();
                     stream->Post([stream, offset, opened = std::move(opened)]() mutable {
                       stream->Opened(offset, std::move(opened));
                     });
                   });
}

void UploadStream::Opened(int64_t offset, absl::StatusOr<UploadTarget> opened) {
  if (!opened.ok()) return Close(opened.status());
  if (opened->snapshot && !opened->finished.has_value()) {
    return Close(SharedMemoryRequired(fmt::format("save {} of run {}", target_.save, target_.run)));
  }
  run_ = std::move(opened->run);
  if (!opened->finished.has_value()) return OpenPart(offset);
  v1::UploadResponse response;
  *response.mutable_finished() = *std::move(opened->finished);
  Respond(response);
  Close(absl::OkStatus());
}

void UploadStream::OpenPart(int64_t offset) {
  if (closing_) return;
  auto writer = context_.store.OpenPart(target_);
  if (!writer.ok()) return Close(writer.status());
  writer_ = *std::move(writer);
  if (offset > writer_->offset()) return Close(OffsetMismatch(writer_->offset(), offset));
  window_.Begin(writer_->offset());
  told_.set_persisted(writer_->persisted());
  told_.set_window_end(window_.end());
  v1::UploadResponse response;
  v1::UploadStarted& started = *response.mutable_started();
  started.set_offset(writer_->offset());
  started.set_max_chunk_bytes(context_.limits.max_chunk_bytes());
  started.set_window_end(window_.end());
  Respond(response);
  ReadNext(0);
}

// ---- Chunks.

void UploadStream::OnChunk(const UploadMessage& message) {
  if (writer_ == nullptr) return Close(ProtocolViolation("a chunk came where none was due"));
  absl::Status status = Append(message.request().chunk(), message.data());
  if (!status.ok()) return Close(std::move(status));
  context_.metrics.upload_bytes.Add(static_cast<double>(SizeOf(message.data())));
}

void UploadStream::Taken() {
  GiveBack(window_.MoveTo(writer_->offset()));
  TakeAhead();
  TellProgress();
  window_.held() > 0 ? ReadNext(0) : WaitForGrant();
}

absl::Status UploadStream::Append(const v1::UploadChunk& chunk,
                                  std::span<const std::string_view> data) {
  const size_t bytes = SizeOf(data);
  const auto limit = static_cast<uint64_t>(context_.limits.max_chunk_bytes());
  if (bytes > limit) return LimitExceeded("bytes of one chunk", limit, bytes);
  if (bytes == 0) return FieldInvalid("chunk.data", "", "a chunk has at least one byte");
  if (chunk.offset() < 0 || chunk.offset() > writer_->offset()) {
    return OffsetMismatch(writer_->offset(), chunk.offset());
  }
  if (Crc32cOf(data) != chunk.crc32c()) return ChunkCorrupt(chunk.offset());
  const auto known = static_cast<size_t>(writer_->offset() - chunk.offset());
  if (known >= bytes) return absl::OkStatus();
  const int64_t size = chunk.offset() + static_cast<int64_t>(bytes);
  if (size > context_.limits.max_part_bytes()) {
    return LimitExceeded("bytes of one part",
                         static_cast<uint64_t>(context_.limits.max_part_bytes()),
                         static_cast<uint64_t>(size));
  }
  if (known == 0) return writer_->Append(data);
  return writer_->Append(WithoutPrefix(data, known));
}

// ---- Finish.

void UploadStream::OnFinish(const v1::UploadFinish& finish) {
  if (writer_ == nullptr) return Close(ProtocolViolation("finish came where none was due"));
  if (!finish.xxh3_128().empty() && finish.xxh3_128().size() != 16) {
    return Close(FieldInvalid("xxh3_128", Hex(finish.xxh3_128()), "it must be 16 bytes or none"));
  }
  absl::StatusOr<v1::Part> part = writer_->Finish(finish.size(), finish.xxh3_128());
  writer_.reset();
  GiveBack(window_.Close());
  if (!part.ok()) return Close(part.status());
  if (run_ == nullptr) {
    v1::UploadResponse response;
    *response.mutable_finished()->mutable_part() = *std::move(part);
    Respond(response);
    return Close(absl::OkStatus());
  }
  run_->FinishPart(target_.save, [self = shared_from_this(), part = *std::move(part)](
                                     absl::StatusOr<v1::Checkpoint> checkpoint) mutable {
    UploadStream* stream = self.get();
    stream->Post([stream, part = std::move(part), checkpoint = std::move(checkpoint)]() mutable {
      stream->Finished(std::move(part), std::move(checkpoint));
    });
  });
}

void UploadStream::Finished(v1::Part part, absl::StatusOr<v1::Checkpoint> checkpoint) {
  if (!checkpoint.ok()) return Close(checkpoint.status());
  v1::UploadResponse response;
  v1::UploadFinished& finished = *response.mutable_finished();
  *finished.mutable_part() = std::move(part);
  finished.mutable_part()->clear_block_digests();
  *finished.mutable_checkpoint() = *std::move(checkpoint);
  Respond(response);
  Close(absl::OkStatus());
}

// ---- Writing.

// While a response is being written news gather, so that a sender which does not read does not make
// them pile up.
void UploadStream::TellProgress() {
  if (writer_ == nullptr || writing_ || closing_) return;
  if (writer_->persisted() == told_.persisted() && window_.end() == told_.window_end()) return;
  told_.set_persisted(writer_->persisted());
  told_.set_window_end(window_.end());
  v1::UploadResponse response;
  *response.mutable_progress() = told_;
  Respond(response);
}

void UploadStream::Respond(const v1::UploadResponse& response) {
  if (closing_) return;
  unsent_.push_back(ToBuffer(response));
  WriteNext();
}

void UploadStream::WriteNext() {
  if (writing_ || ended_) return;
  if (!unsent_.empty()) {
    writing_ = true;
    StartWrite(&unsent_.front());
  } else if (closing_) {
    ended_ = true;
    Finish(ToGrpcStatus(close_status_));
  }
}

void UploadStream::Close(absl::Status status) {
  if (closing_) return;
  closing_ = true;
  close_status_ = std::move(status);
  writer_.reset();
  if (!reading_) GiveBack(window_.Close());
  WriteNext();
}

}  // namespace ckpt::server
