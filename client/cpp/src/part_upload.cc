#include "client/cpp/src/part_upload.h"

#include <fmt/format.h>
#include <grpcpp/completion_queue.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "client/cpp/src/rpc_status.h"
#include "storage/base/errors.h"

namespace ckpt::client {
namespace {

constexpr int64_t kChunkBytes = 1 << 20;

// Each kind of operation is outstanding at most once, so the kind is the tag.
enum Operation : intptr_t { kStart = 1, kRead, kWrite, kFinish };

void* Tag(Operation operation) { return reinterpret_cast<void*>(operation); }

}  // namespace

// One stream. While a chunk is on its way the next is hashed and copied, and a read is always
// armed.
class PartUpload::Call {
 public:
  Call(PartUpload& part, v1::WeightService::Stub& stub, grpc::ClientContext& context)
      : part_(part),
        context_(context),
        call_(stub.AsyncUpload(&context, &queue_, Tag(kStart))),
        pending_(1) {}

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
      *next_.mutable_start() = part_.start_;
      prepared_ = true;
      WriteNext();
    } else {
      OnResponse();
    }
    ++pending_;
    call_->Read(&response_, Tag(kRead));
  }

  void OnResponse() {
    switch (response_.message_case()) {
      case v1::UploadResponse::kStarted:
        return OnStarted(response_.started());
      case v1::UploadResponse::kProgress:
        return part_.Accepted(response_.progress().persisted());
      case v1::UploadResponse::kFinished:
        finished_ = std::move(*response_.mutable_finished());
        return;
      case v1::UploadResponse::MESSAGE_NOT_SET:
        return;  // of a newer daemon
    }
  }

  void OnStarted(const v1::UploadStarted& started) {
    if (started.offset() < 0 || started.offset() > Size()) {
      refused_ = OffsetMismatch(Size(), started.offset());
      context_.TryCancel();
      return;
    }
    offset_ = started.offset();
    if (started.max_chunk_bytes() > 0) {
      max_chunk_ = std::min(max_chunk_, started.max_chunk_bytes());
    }
    part_.Accepted(offset_);
    Prepare();
    WriteNext();
  }

  void WriteNext() {
    if (writing_ || !prepared_ || closing_) return;
    prepared_ = false;
    writing_ = true;
    ++pending_;
    call_->Write(next_, Tag(kWrite));
    if (next_.has_chunk()) Prepare();
  }

  // Makes the message after those that were written, in the memory of the one before.
  void Prepare() {
    if (offset_ < Size()) {
      part_.FillChunk(offset_, max_chunk_, next_.mutable_chunk());
      offset_ += static_cast<int64_t>(next_.chunk().data().size());
    } else {
      part_.FillFinish(next_.mutable_finish());
    }
    prepared_ = true;
  }

  int64_t Size() const { return static_cast<int64_t>(part_.bytes_.size()); }

  PartUpload& part_;
  grpc::ClientContext& context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::UploadRequest, v1::UploadResponse>> call_;
  int pending_;  // operations whose completion is still to come
  v1::UploadRequest next_;
  v1::UploadResponse response_;
  bool prepared_ = false;  // next_ is to be written
  bool writing_ = false;
  bool closing_ = false;
  int64_t offset_ = 0;  // of the first byte that is in no message yet
  int64_t max_chunk_ = kChunkBytes;
  absl::Status refused_;
  grpc::Status status_;
  std::optional<v1::UploadFinished> finished_;
};

PartUpload::PartUpload(v1::UploadStart start, std::string_view bytes)
    : start_(std::move(start)), bytes_(bytes) {}

absl::StatusOr<v1::UploadFinished> PartUpload::Attempt(v1::WeightService::Stub& stub,
                                                       const std::string& server,
                                                       grpc::ClientContext& context) {
  return Call(*this, stub, context).Run(server);
}

bool PartUpload::TakeProgress() { return std::exchange(progressed_, false); }

void PartUpload::FillChunk(int64_t offset, int64_t max_bytes, v1::UploadChunk* chunk) {
  const std::string_view data =
      bytes_.substr(static_cast<size_t>(offset), static_cast<size_t>(max_bytes));
  chunk->set_offset(offset);
  chunk->set_crc32c(Crc32c(data));
  chunk->mutable_data()->assign(data);
  const int64_t end = offset + static_cast<int64_t>(data.size());
  if (end > digest_.size()) {
    const auto hashed = static_cast<size_t>(digest_.size());
    digest_.Update(bytes_.substr(hashed, static_cast<size_t>(end) - hashed));
  }
}

void PartUpload::FillFinish(v1::UploadFinish* finish) {
  // An earlier process may have sent bytes that this one has not touched.
  digest_.Update(bytes_.substr(static_cast<size_t>(digest_.size())));
  finish->set_size(static_cast<int64_t>(bytes_.size()));
  finish->set_xxh3_128(digest_.Whole());
}

void PartUpload::Accepted(int64_t offset) {
  if (offset <= accepted_) return;
  accepted_ = offset;
  progressed_ = true;
}

}  // namespace ckpt::client
