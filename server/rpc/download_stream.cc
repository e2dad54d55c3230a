#include "server/rpc/download_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "server/rpc/grpc_status.h"
#include "server/run/best_checkpoint.h"
#include "server/run/limits.h"
#include "storage/base/digest.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"

namespace ckpt::server {

DownloadStream* DownloadStream::Start(const ServerContext& context, v1::DownloadRequest request,
                                      std::atomic<int>& downloads) {
  auto stream = std::make_shared<DownloadStream>(context, std::move(request), downloads);
  stream->self_ = stream;
  if (downloads.fetch_add(1) >= kMaxDownloads) {
    stream->Finish(ToGrpcStatus(LimitExceeded("downloads", kMaxDownloads, kMaxDownloads + 1)));
  } else {
    stream->Post([raw = stream.get()] { raw->SendHeader(); });
  }
  return stream.get();
}

DownloadStream::DownloadStream(const ServerContext& context, v1::DownloadRequest request,
                               std::atomic<int>& downloads)
    : context_(context),
      request_(std::move(request)),
      downloads_(downloads),
      strand_(context.executors.NewDiskStrand()) {}

template <typename Fn>
void DownloadStream::Post(Fn fn) {
  strand_.Post([self = shared_from_this(), fn = std::move(fn)]() mutable { fn(); });
}

void DownloadStream::OnWriteDone(bool ok) {
  Post([this, ok] { ok ? SendNext() : Finish(grpc::Status::CANCELLED); });
}

void DownloadStream::OnDone() {
  downloads_.fetch_sub(1);
  self_.reset();
}

absl::Status DownloadStream::Open() {
  const auto ref = ParseCheckpointName(request_.checkpoint());
  if (!ref.ok()) return ref.status();
  const auto checkpoint = FindCheckpoint(context_.store, ref->run, ref->id);
  if (!checkpoint.ok()) return checkpoint.status();
  const std::string id = ParseCheckpointName(checkpoint->name())->id;
  auto reader = context_.store.OpenRead(ref->run, id, request_.rank(), request_.part());
  if (!reader.ok()) return reader.status();
  reader_ = *std::move(reader);
  return PickRange();
}

absl::Status DownloadStream::PickRange() {
  const int64_t size = reader_->part().size();
  if (request_.offset() < 0 || request_.offset() > size) {
    return FieldInvalid("offset", std::to_string(request_.offset()),
                        fmt::format("the part has {} bytes", size));
  }
  if (request_.length() < 0) {
    return FieldInvalid("length", std::to_string(request_.length()), "it must not be negative");
  }
  next_ = request_.offset();
  const int64_t rest = size - next_;
  end_ = next_ + (request_.length() == 0 ? rest : std::min(rest, request_.length()));
  return absl::OkStatus();
}

void DownloadStream::SendHeader() {
  if (absl::Status status = Open(); !status.ok()) return Finish(ToGrpcStatus(status));
  v1::DownloadHeader& header = *response_.mutable_header();
  *header.mutable_checkpoint() = reader_->checkpoint();
  *header.mutable_part() = reader_->part();
  StartWrite(&response_);
}

void DownloadStream::SendNext() {
  if (next_ == end_) return Finish(grpc::Status::OK);
  if (absl::Status status = FillChunk(); !status.ok()) return Finish(ToGrpcStatus(status));
  StartWrite(&response_);
}

absl::Status DownloadStream::FillChunk() {
  const int64_t index = next_ / kDigestBlockBytes;
  if (index != block_index_) {
    if (absl::Status status = reader_->ReadBlock(index, &block_); !status.ok()) return status;
    block_index_ = index;
  }
  const auto begin = static_cast<size_t>(next_ - index * kDigestBlockBytes);
  const int64_t most = std::min(end_ - next_, context_.limits.max_chunk_bytes());
  const auto data = std::string_view(block_).substr(begin, static_cast<size_t>(most));
  v1::UploadChunk& chunk = *response_.mutable_chunk();
  chunk.set_offset(next_);
  chunk.set_crc32c(Crc32c(data));
  chunk.mutable_data()->assign(data);
  next_ += static_cast<int64_t>(data.size());
  context_.metrics.download_bytes.Add(static_cast<double>(data.size()));
  return absl::OkStatus();
}

}  // namespace ckpt::server
