#include "client/cpp/src/download.h"

#include <fmt/format.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <utility>
#include <vector>

#include "client/cpp/src/memory.h"
#include "client/cpp/src/rpc_status.h"
#include "storage/base/chunk_message.h"
#include "storage/base/digest.h"
#include "storage/base/errors.h"

namespace ckpt::client {
namespace {

constexpr char kMethod[] = "/ckpt.v1.WeightService/Download";

std::string_view View(const grpc::Slice& slice) {
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

// What a response has of the content, where gRPC has put it.
class Chunk {
 public:
  // Holds no bytes if the response is the header, or of a newer daemon. INTERNAL: it is none.
  absl::Status Take(grpc::ByteBuffer& buffer) {
    slices_.clear();
    pieces_.clear();
    if (buffer.Dump(&slices_).ok()) {
      for (const grpc::Slice& slice : slices_) pieces_.push_back(View(slice));
      if (TakeChunkHeader(v1::DownloadResponse::kChunkFieldNumber, pieces_,
                          *response_.mutable_chunk())) {
        return absl::OkStatus();
      }
    }
    const grpc::Status parsed =
        grpc::SerializationTraits<v1::DownloadResponse>::Deserialize(&buffer, &response_);
    if (!parsed.ok()) return absl::InternalError("the daemon's answer cannot be read");
    pieces_ = {response_.chunk().data()};
    if (pieces_.front().empty()) pieces_.clear();
    return absl::OkStatus();
  }

  const std::vector<std::string_view>& pieces() const { return pieces_; }
  int64_t offset() const { return response_.chunk().offset(); }
  bool IsIntact() const {
    uint32_t crc = 0;
    for (const std::string_view piece : pieces_) crc = Crc32c(piece, crc);
    return crc == response_.chunk().crc32c();
  }

 private:
  std::vector<grpc::Slice> slices_;
  std::vector<std::string_view> pieces_;  // of slices_ or response_
  v1::DownloadResponse response_;
};

// One call, in which never more than one operation is under way. While the bytes of a response are
// used, the next one arrives.
class Call {
 public:
  Call(grpc::GenericStub& stub, const v1::DownloadRequest& request)
      : request_(request),
        offset_(request.offset()),
        call_(stub.PrepareCall(&context_, kMethod, &queue_)) {}

  absl::Status Run(const std::string& server, ByteSink sink) {
    const absl::Status status = Begin() ? ReadAll(sink) : absl::OkStatus();
    grpc::Status ended;
    call_->Finish(&ended, nullptr);
    Wait();
    queue_.Shutdown();
    Wait();
    return status.ok() ? FromGrpc(ended, server) : status;
  }

 private:
  // Whether the operation under way succeeded.
  bool Wait() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  bool Begin() {
    call_->StartCall(nullptr);
    if (!Wait()) return false;
    const grpc::Slice slice(request_.SerializeAsString());
    call_->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    return Wait();
  }

  absl::Status ReadAll(ByteSink sink) {
    grpc::ByteBuffer arriving;
    call_->Read(&arriving, nullptr);
    while (Wait()) {
      grpc::ByteBuffer buffer = std::exchange(arriving, {});
      call_->Read(&arriving, nullptr);
      absl::Status status = Use(buffer, sink);
      if (status.ok()) continue;
      context_.TryCancel();
      Wait();
      return status;
    }
    return absl::OkStatus();
  }

  absl::Status Use(grpc::ByteBuffer& buffer, ByteSink sink) {
    if (absl::Status status = chunk_.Take(buffer); !status.ok()) return status;
    if (chunk_.pieces().empty()) return absl::OkStatus();
    if (chunk_.offset() != offset_ || !chunk_.IsIntact()) {
      return BlobCorrupt(request_.checkpoint(), request_.part(),
                         fmt::format("the bytes from {} on were damaged on their way", offset_));
    }
    for (const std::string_view piece : chunk_.pieces()) offset_ += std::ssize(piece);
    return sink(chunk_.pieces());
  }

  const v1::DownloadRequest& request_;
  int64_t offset_;  // of the next byte
  Chunk chunk_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  const std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

}  // namespace

absl::Status Download(grpc::GenericStub& stub, const std::string& server,
                      const v1::DownloadRequest& request, ByteSink sink) {
  KeepFreedMemory();
  return Call(stub, request).Run(server, sink);
}

}  // namespace ckpt::client
