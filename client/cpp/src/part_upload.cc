#include "client/cpp/src/part_upload.h"

#include <fmt/format.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "client/cpp/src/rpc_status.h"
#include "storage/base/chunk_message.h"
#include "storage/base/errors.h"

namespace ckpt::client {
namespace {

constexpr char kMethod[] = "/ckpt.v1.WeightService/Upload";
constexpr int64_t kChunkBytes = 1 << 20;

// Each kind of operation is outstanding at most once, so the kind is the tag.
enum Operation : intptr_t { kStart = 1, kRead, kWrite, kFinish };

void* Tag(Operation operation) { return reinterpret_cast<void*>(operation); }

grpc::ByteBuffer ToBuffer(const v1::UploadRequest& request) {
  const grpc::Slice slice(request.SerializeAsString());
  return {&slice, 1};
}

// `bytes` where they are, kept alive by `owner`; a copy if there is none.
grpc::Slice ToSlice(std::string_view bytes, const std::shared_ptr<const void>& owner) {
  if (owner == nullptr) return {bytes.data(), bytes.size()};
  using Owner = std::shared_ptr<const void>;
  return {const_cast<char*>(bytes.data()), bytes.size(),
          [](void* held) { delete static_cast<Owner*>(held); }, new Owner(owner)};
}

}  // namespace

// One stream. While a chunk is on its way, or waits for the daemon's window, the next is hashed; a
// read is always armed.
class PartUpload::Call {
 public:
  Call(PartUpload& part, grpc::GenericStub& stub, grpc::ClientContext& context)
      : part_(part), context_(context), call_(stub.PrepareCall(&context, kMethod, &queue_)) {
    call_->StartCall(Tag(kStart));
  }

  absl::StatusOr<v1::UploadFinished> Run(const std::string& server) {
    void* operation = nullptr;
    bool ok = false;
    while (pending_ > 0 && queue_.Next(&operation, &ok)) {
      --pending_;
      Handle(operation, ok);
    }
    queue_.Shutdown();
    while (queue_.Next(&operation, &ok)) {
    }
    if (finished_.has_value()) return *std::move(finished_);
    if (!refused_.ok()) return refused_;
    if (!status_.ok()) return FromGrpc(status_, server);
    return absl::UnavailableError(fmt::format("ckptd at {} ended an upload early", server));
  }

 private:
  void Handle(void* operation, bool ok) {
    if (operation == Tag(kFinish)) return;
    if (operation == Tag(kWrite)) {
      writing_ = false;
      if (ok) WriteNext();
      return;
    }
    if (!ok) {  // the start or a read: the stream is over
      closing_ = true;
      ++pending_;
      call_->Finish(&status_, Tag(kFinish));
      return;
    }
    if (operation == Tag(kStart)) {
      v1::UploadRequest start;
      *start.mutable_start() = part_.start_;
      next_ = ToBuffer(start);
      prepared_ = true;
      WriteNext();
    } else {
      OnResponse();
    }
    ++pending_;
    call_->Read(&response_, Tag(kRead));
  }

  void OnResponse() {
    v1::UploadResponse response;
    const grpc::Status parsed =
        grpc::SerializationTraits<v1::UploadResponse>::Deserialize(&response_, &response);
    if (!parsed.ok()) return Refuse(absl::InternalError("the daemon's answer cannot be read"));
    switch (response.message_case()) {
      case v1::UploadResponse::kStarted:
        return OnStarted(response.started());
      case v1::UploadResponse::kProgress:
        return OnProgress(response.progress());
      case v1::UploadResponse::kFinished:
        finished_ = std::move(*response.mutable_finished());
        return;
      case v1::UploadResponse::MESSAGE_NOT_SET:
        return;  // of a newer daemon
    }
  }

  void Refuse(absl::Status why) {
    refused_ = std::move(why);
    context_.TryCancel();
  }

  void OnStarted(const v1::UploadStarted& started) {
    if (started.offset() < 0 || started.offset() > Size()) {
      return Refuse(OffsetMismatch(Size(), started.offset()));
    }
    offset_ = started.offset();
    if (started.max_chunk_bytes() > 0) {
      max_chunk_ = std::min(max_chunk_, started.max_chunk_bytes());
    }
    window_end_ = started.window_end();
    part_.Accepted(offset_);
    streaming_ = true;
    Prepare();
    WriteNext();
  }

  void OnProgress(const v1::UploadProgress& progress) {
    window_end_ = std::max(window_end_, progress.window_end());
    part_.Accepted(progress.persisted());
    WriteNext();
  }

  void WriteNext() {
    if (writing_ || !prepared_ || closing_ || !FitWindow()) return;
    prepared_ = false;
    writing_ = true;
    ++pending_;
    call_->Write(next_, Tag(kWrite));
    if (streaming_) Prepare();
  }

  // Whether the daemon lets us send what is prepared, or part of it, which then is prepared
  // instead.
  bool FitWindow() {
    const bool has_bytes = offset_ > next_offset_;
    if (window_end_ == 0 || !has_bytes || offset_ <= window_end_) return true;
    if (window_end_ <= next_offset_) return false;
    offset_ = next_offset_;
    Prepare();
    return true;
  }

  // Makes the message after those that were written: a whole chunk if none of it may be sent yet.
  void Prepare() {
    int64_t size = std::min(max_chunk_, Size() - offset_);
    if (window_end_ > offset_) size = std::min(size, window_end_ - offset_);
    next_offset_ = offset_;
    streaming_ = size > 0;
    next_ = streaming_ ? part_.Chunk(static_cast<size_t>(offset_), static_cast<size_t>(size))
                       : part_.Finish();
    offset_ += size;
    prepared_ = true;
  }

  int64_t Size() const { return static_cast<int64_t>(part_.bytes_.size()); }

  PartUpload& part_;
  grpc::ClientContext& context_;
  grpc::CompletionQueue queue_;
  const std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  int pending_ = 1;  // operations whose completion is still to come; the first is the start
  grpc::ByteBuffer next_;
  grpc::ByteBuffer response_;
  bool prepared_ = false;   // next_ is to be written
  bool streaming_ = false;  // others are to follow it
  bool writing_ = false;
  bool closing_ = false;
  int64_t next_offset_ = 0;  // of the bytes in next_
  int64_t offset_ = 0;       // of the first byte that is in no message yet
  int64_t window_end_ = 0;   // as the daemon says; 0: it knows no window
  int64_t max_chunk_ = kChunkBytes;
  absl::Status refused_;
  grpc::Status status_;
  std::optional<v1::UploadFinished> finished_;
};

PartUpload::PartUpload(v1::UploadStart start, std::string_view bytes,
                       std::shared_ptr<const void> owner)
    : start_(std::move(start)), bytes_(bytes), owner_(std::move(owner)) {}

absl::StatusOr<v1::UploadFinished> PartUpload::Attempt(grpc::GenericStub& stub,
                                                       const std::string& server,
                                                       grpc::ClientContext& context) {
  return Call(*this, stub, context).Run(server);
}

bool PartUpload::TakeProgress() { return std::exchange(progressed_, false); }

grpc::ByteBuffer PartUpload::Chunk(size_t offset, size_t size) {
  const std::string_view data = bytes_.substr(offset, size);
  v1::UploadChunk chunk;
  chunk.set_offset(static_cast<int64_t>(offset));
  chunk.set_crc32c(Crc32c(data));
  const auto hashed = static_cast<size_t>(digest_.size());
  if (offset + size > hashed) digest_.Update(bytes_.substr(hashed, offset + size - hashed));
  const grpc::Slice slices[] = {
      grpc::Slice(ChunkHeader(v1::UploadRequest::kChunkFieldNumber, chunk, size)),
      ToSlice(data, owner_)};
  return {slices, std::size(slices)};
}

grpc::ByteBuffer PartUpload::Finish() {
  // An earlier process may have sent bytes that this one has not touched.
  digest_.Update(bytes_.substr(static_cast<size_t>(digest_.size())));
  v1::UploadRequest request;
  request.mutable_finish()->set_size(static_cast<int64_t>(bytes_.size()));
  request.mutable_finish()->set_xxh3_128(digest_.Whole());
  return ToBuffer(request);
}

void PartUpload::Accepted(int64_t offset) {
  if (offset <= accepted_) return;
  accepted_ = offset;
  progressed_ = true;
}

}  // namespace ckpt::client
