#include "server/rpc/download_stream.h"

#include <fmt/format.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "server/rpc/grpc_status.h"
#include "server/rpc/message_buffer.h"
#include "server/run/best_checkpoint.h"
#include "server/run/limits.h"
#include "storage/base/chunk_message.h"
#include "storage/base/digest.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::server {
namespace {

using Block = std::shared_ptr<char[]>;

// `data`, of a block that it keeps.
grpc::Slice ToSlice(std::string_view data, const Block& block) {
  return {const_cast<char*>(data.data()), data.size(),
          [](void* kept) { delete static_cast<Block*>(kept); }, new Block(block)};
}

// A DownloadResponse with a chunk.
grpc::ByteBuffer ChunkMessage(int64_t offset, std::string_view data, const Block& block) {
  v1::UploadChunk chunk;
  chunk.set_offset(offset);
  chunk.set_crc32c(Crc32c(data));
  const grpc::Slice slices[] = {
      grpc::Slice(ChunkHeader(v1::DownloadResponse::kChunkFieldNumber, chunk, data.size())),
      ToSlice(data, block)};
  return {slices, std::size(slices)};
}

}  // namespace

DownloadStream* DownloadStream::Start(const ServerContext& context, const grpc::ByteBuffer& request,
                                      std::atomic<int>& downloads) {
  const int before = downloads.fetch_add(1);
  auto stream = std::make_shared<DownloadStream>(context, downloads,
                                                 before < kDownloadsAhead ? kDigestBlockBytes : 0);
  stream->self_ = stream;
  if (before >= kMaxDownloads) {
    stream->Did(LimitExceeded("downloads", kMaxDownloads, kMaxDownloads + 1));
  } else {
    stream->Post([raw = stream.get(), request] { raw->Did(raw->Open(request)); });
  }
  return stream.get();
}

DownloadStream::DownloadStream(const ServerContext& context, std::atomic<int>& downloads,
                               int64_t ahead)
    : context_(context),
      downloads_(downloads),
      ahead_(ahead),
      strand_(context.executors.NewDiskStrand()) {}

template <typename Fn>
void DownloadStream::Post(Fn fn) {
  strand_.Post([self = shared_from_this(), fn = std::move(fn)]() mutable { fn(); });
}

void DownloadStream::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  writing_ = false;
  unsent_bytes_ -= unsent_.front().bytes;
  unsent_.pop_front();
  if (!ok) {
    unsent_.clear();
    ended_ = grpc::Status::CANCELLED;
  }
  GoOn();
}

void DownloadStream::OnDone() {
  downloads_.fetch_sub(1);
  // The file may be the last trace of a checkpoint that was deleted meanwhile: closing it takes
  // long.
  strand_.Post([self = std::move(self_)] {});
}

// ---- What is to be read.

absl::Status DownloadStream::Open(grpc::ByteBuffer buffer) {
  v1::DownloadRequest request;
  if (!grpc::SerializationTraits<v1::DownloadRequest>::Deserialize(&buffer, &request).ok()) {
    return ProtocolViolation("the message is no DownloadRequest");
  }
  const auto ref = ParseCheckpointName(request.checkpoint());
  if (!ref.ok()) return ref.status();
  const auto checkpoint = FindCheckpoint(context_.store, ref->run, ref->id);
  if (!checkpoint.ok()) return checkpoint.status();
  const std::string id = ParseCheckpointName(checkpoint->name())->id;
  auto reader = context_.store.OpenRead(ref->run, id, request.rank(), request.part());
  if (!reader.ok()) return reader.status();
  reader_ = *std::move(reader);
  if (absl::Status status = PickRange(request); !status.ok()) return status;
  SendHeader();
  return absl::OkStatus();
}

absl::Status DownloadStream::PickRange(const v1::DownloadRequest& request) {
  const int64_t size = reader_->part().size();
  if (request.offset() < 0 || request.offset() > size) {
    return FieldInvalid("offset", std::to_string(request.offset()),
                        fmt::format("the part has {} bytes", size));
  }
  if (request.length() < 0) {
    return FieldInvalid("length", std::to_string(request.length()), "it must not be negative");
  }
  next_ = request.offset();
  const int64_t rest = size - next_;
  end_ = next_ + (request.length() == 0 ? rest : std::min(rest, request.length()));
  return absl::OkStatus();
}

void DownloadStream::SendHeader() {
  v1::DownloadResponse response;
  v1::DownloadHeader& header = *response.mutable_header();
  *header.mutable_checkpoint() = reader_->checkpoint();
  *header.mutable_part() = reader_->part();
  Message message;
  message.buffer = ToBuffer(response);
  Send(std::move(message));
}

absl::Status DownloadStream::SendBlock() {
  const int64_t index = next_ / kDigestBlockBytes;
  const auto size = static_cast<size_t>(reader_->BlockBytes(index));
  const Block block = std::make_shared_for_overwrite<char[]>(size);
  absl::Status status = reader_->ReadBlock(index, {block.get(), size});
  if (!status.ok()) return status;
  const int64_t begin = index * kDigestBlockBytes;
  const int64_t end = std::min(end_, begin + static_cast<int64_t>(size));
  while (next_ < end) {
    const int64_t count = std::min(end - next_, context_.limits.max_chunk_bytes());
    const std::string_view data(&block[next_ - begin], static_cast<size_t>(count));
    if (!Send({ChunkMessage(next_, data, block), count})) break;
    next_ += count;
  }
  return absl::OkStatus();
}

// ---- What is to be sent.

bool DownloadStream::Send(Message message) {
  const std::lock_guard lock(mutex_);
  if (ended_.has_value()) return false;
  context_.metrics.download_bytes.Add(static_cast<double>(message.bytes));
  unsent_bytes_ += message.bytes;
  unsent_.push_back(std::move(message));
  GoOn();
  return true;
}

void DownloadStream::Did(const absl::Status& status) {
  const std::lock_guard lock(mutex_);
  reading_ = false;
  if (!ended_.has_value() && (!status.ok() || next_ == end_)) ended_ = ToGrpcStatus(status);
  GoOn();
}

void DownloadStream::GoOn() {
  if (writing_ || finished_) {
    // One thing after the other.
  } else if (!unsent_.empty()) {
    writing_ = true;
    StartWrite(&unsent_.front().buffer);
  } else if (ended_.has_value()) {
    finished_ = true;
    Finish(*ended_);
  }
  if (!reading_ && !ended_.has_value() && unsent_bytes_ <= ahead_) {
    reading_ = true;
    Post([this] { Did(SendBlock()); });
  }
}

}  // namespace ckpt::server
