#include "client/cpp/src/download.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <vector>

#include "ckpt/v1/weight_service.grpc.pb.h"
#include "storage/base/digest.h"
#include "storage/base/errors.h"
#include "tests/unit/client/support/temp_folder.h"

namespace ckpt::client {
namespace {

// Answers every call with these messages, whatever they are.
class Daemon final
    : public v1::WeightService::WithRawCallbackMethod_Download<v1::WeightService::Service> {
 public:
  explicit Daemon(std::vector<std::string> messages) : messages_(std::move(messages)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }

  absl::Status Download(ByteSink sink, int64_t offset = 0) {
    grpc::GenericStub stub(grpc::CreateChannel(address_, grpc::InsecureChannelCredentials()));
    v1::DownloadRequest request;
    request.set_checkpoint("runs/r/checkpoints/1");
    request.set_offset(offset);
    return client::Download(stub, address_, request, sink);
  }

 private:
  class Call final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
   public:
    explicit Call(const std::vector<std::string>& messages) : messages_(messages) { Next(); }
    void OnWriteDone(bool ok) override { ok ? Next() : Finish(grpc::Status::CANCELLED); }
    void OnDone() override { delete this; }

   private:
    void Next() {
      if (next_ == messages_.size()) return Finish(grpc::Status::OK);
      const grpc::Slice slice(messages_[next_++]);
      buffer_ = grpc::ByteBuffer(&slice, 1);
      StartWrite(&buffer_);
    }

    const std::vector<std::string>& messages_;
    size_t next_ = 0;
    grpc::ByteBuffer buffer_;
  };

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Download(
      grpc::CallbackServerContext* /*context*/, const grpc::ByteBuffer* /*request*/) override {
    return new Call(messages_);
  }

  const std::vector<std::string> messages_;
  const ckpt::testing::TempFolder folder_;
  const std::string address_ = "unix:" + folder_.File("socket");
  std::unique_ptr<grpc::Server> server_;
};

std::string Header() {
  v1::DownloadResponse response;
  response.mutable_header()->mutable_part()->set_part("weights");
  return response.SerializeAsString();
}

std::string Chunk(int64_t offset, const std::string& data) {
  v1::DownloadResponse response;
  response.mutable_chunk()->set_offset(offset);
  response.mutable_chunk()->set_crc32c(Crc32c(data));
  response.mutable_chunk()->set_data(data);
  return response.SerializeAsString();
}

TEST(DownloadTest, HandsTheBytesOnInOrder) {
  const std::string large(3'000'000, 'x');
  // Protobuf allows the fields in another order, and others that are not known yet.
  const std::string data_first =
      "\x12\x0d\x7a\x04"
      "cdef\x08\x02\x15\x62\xfe\xea\x74";
  Daemon daemon(
      {Header(), Chunk(0, "ab"), "", Chunk(2, ""), data_first, Chunk(6, large), "\x78\x01"});
  std::string content;
  const absl::Status status = daemon.Download([&](Pieces pieces) {
    for (const std::string_view piece : pieces) content += piece;
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(content == "abcdef" + large) << content.substr(0, 20);
}

TEST(DownloadTest, HandsNothingOnThatIsDamaged) {
  std::string damaged = Chunk(2, "cd");
  damaged.back() ^= 1;
  const struct {
    std::string name;
    std::string message;
    absl::StatusCode code;
  } cases[] = {{"damaged", damaged, absl::StatusCode::kDataLoss},
               {"a gap", Chunk(3, "d"), absl::StatusCode::kDataLoss},
               {"twice", Chunk(1, "bc"), absl::StatusCode::kDataLoss},
               {"no message", "\x12\x7f", absl::StatusCode::kInternal}};
  for (const auto& c : cases) {
    Daemon daemon({Header(), Chunk(0, "ab"), c.message, Chunk(4, "ef")});
    std::string content;
    const absl::Status status = daemon.Download([&](Pieces pieces) {
      for (const std::string_view piece : pieces) content += piece;
      return absl::OkStatus();
    });
    EXPECT_EQ(status.code(), c.code) << c.name << ": " << status;
    EXPECT_EQ(content, "ab") << c.name;
  }
}

TEST(DownloadTest, BeginsWhereItIsAskedTo) {
  Daemon daemon({Header(), Chunk(7, "h")});
  EXPECT_TRUE(daemon.Download([](Pieces) { return absl::OkStatus(); }, 7).ok());
  EXPECT_TRUE(absl::IsDataLoss(daemon.Download([](Pieces) { return absl::OkStatus(); }, 6)));
}

TEST(DownloadTest, ASinkThatHasHadEnoughEndsIt) {
  std::vector<std::string> messages{Header()};
  for (int64_t i = 0; i < 100; ++i) messages.push_back(Chunk(i << 20, std::string(1 << 20, 'x')));
  Daemon daemon(std::move(messages));
  int64_t bytes_taken = 0;
  const absl::Status status = daemon.Download([&](Pieces pieces) {
    for (const std::string_view piece : pieces) bytes_taken += std::ssize(piece);
    return bytes_taken > 5'000'000 ? absl::OutOfRangeError("enough") : absl::OkStatus();
  });
  EXPECT_EQ(status, absl::OutOfRangeError("enough"));
  EXPECT_LE(bytes_taken, 7'000'000);
}

}  // namespace
}  // namespace ckpt::client
