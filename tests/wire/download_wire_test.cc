// Download, as any gRPC client sees it.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "storage/base/digest.h"
#include "wire.h"

namespace ckpt::wire {
namespace {

constexpr int64_t kSize = 3 * kDigestBlockBytes + 1234;
constexpr char kSave[] = "runs/r/checkpoints/1";

std::string Content() {
  std::string content(kSize, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31 + i / 251);
  return content;
}

// A Download call.
class DownloadCall {
 public:
  DownloadCall(const std::shared_ptr<grpc::Channel>& channel, const v1::DownloadRequest& request)
      : stub_(v1::WeightService::NewStub(channel)), stream_(stub_->Download(&context_, request)) {}
  ~DownloadCall() { context_.TryCancel(); }

  // False at the end.
  bool Read(v1::DownloadResponse* response) { return stream_->Read(response); }
  // Reads to the end; checks that the bytes follow on `begin` and are as they should be.
  std::string ReadAll(int64_t begin = 0) {
    std::string content;
    v1::DownloadResponse response;
    while (Read(&response)) {
      if (!response.has_chunk()) continue;
      EXPECT_EQ(response.chunk().offset(), begin + std::ssize(content));
      EXPECT_EQ(response.chunk().crc32c(), Crc32c(response.chunk().data()));
      content += response.chunk().data();
    }
    return content;
  }
  void Cancel() { context_.TryCancel(); }
  grpc::Status Finish() { return stream_->Finish(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::WeightService::Stub> stub_;
  std::unique_ptr<grpc::ClientReader<v1::DownloadResponse>> stream_;
};

v1::DownloadRequest Request(int64_t offset = 0, int64_t length = 0) {
  v1::DownloadRequest request;
  request.set_checkpoint(kSave);
  request.set_offset(offset);
  request.set_length(length);
  return request;
}

class DownloadWireTest : public WireTest {
 protected:
  // Makes the checkpoint.
  void Save(const std::string& content) {
    Trainer trainer(Channel());
    v1::Hello hello;
    *hello.add_policies() = BestPolicy();
    ASSERT_TRUE(trainer.Hello(hello));
    const auto decision = trainer.Epoch(1, 0, 0.5);
    ASSERT_TRUE(decision && decision->saves_size() == 1);
    ASSERT_EQ(decision->saves(0).name(), kSave);
    Upload upload(Channel());
    ASSERT_EQ(upload.Start(ForSave(kSave)), 0);
    for (size_t at = 0; at < content.size(); at += 1 << 19) {
      ASSERT_TRUE(upload.Chunk(static_cast<int64_t>(at), content.substr(at, 1 << 19)));
    }
    ASSERT_TRUE(upload.FinishWith(content));
    ASSERT_TRUE(trainer.Finish().ok());
  }
  void Damage(int64_t offset) {
    const std::string path = RunFolder() + "/m-01";
    std::filesystem::permissions(path, std::filesystem::perms::owner_write,
                                 std::filesystem::perm_options::add);
    std::fstream file(path);
    file.seekg(offset);
    const auto was = static_cast<char>(file.get());
    file.seekp(offset);
    file.put(static_cast<char>(was ^ 1));
  }
};

TEST_F(DownloadWireTest, TheFirstMessageSaysWhatFollows) {
  const std::string content = Content();
  ASSERT_NO_FATAL_FAILURE(Save(content));
  v1::DownloadRequest request = Request();
  request.set_checkpoint("runs/r/checkpoints/best");
  DownloadCall call(Channel(), request);
  v1::DownloadResponse response;
  ASSERT_TRUE(call.Read(&response));
  EXPECT_EQ(response.header().checkpoint().name(), kSave);
  EXPECT_EQ(response.header().part().part(), "weights");
  EXPECT_EQ(response.header().part().size(), kSize);
  EXPECT_EQ(response.header().part().xxh3_128(), DigestOf(content));
  EXPECT_EQ(response.header().part().block_digests(), "");
  EXPECT_EQ(call.ReadAll(), content);
  EXPECT_TRUE(call.Finish().ok());
}

TEST_F(DownloadWireTest, GivesTheRangeThatIsAskedFor) {
  const std::string content = Content();
  ASSERT_NO_FATAL_FAILURE(Save(content));
  const struct {
    int64_t offset;
    int64_t length;  // 0: to the end
  } cases[] = {{0, 1},
               {1, 0},
               {kDigestBlockBytes - 1, 2},
               {kDigestBlockBytes, kDigestBlockBytes},
               {kDigestBlockBytes + 17, kDigestBlockBytes},
               {kSize - 1, 0},
               {kSize - 1, 100},
               {kSize, 0},
               {5, int64_t{1} << 62}};
  for (const auto& c : cases) {
    DownloadCall call(Channel(), Request(c.offset, c.length));
    const auto length = c.length == 0 ? std::string::npos : static_cast<size_t>(c.length);
    EXPECT_TRUE(call.ReadAll(c.offset) == content.substr(static_cast<size_t>(c.offset), length))
        << c.offset << " " << c.length;
    EXPECT_TRUE(call.Finish().ok());
  }
}

TEST_F(DownloadWireTest, RefusesWhatIsNotThere) {
  ASSERT_NO_FATAL_FAILURE(Save("abc"));
  const auto refusal = [&](auto change) {
    v1::DownloadRequest request = Request();
    change(request);
    DownloadCall call(Channel(), request);
    EXPECT_EQ(call.ReadAll(), "");
    return ReasonOf(call.Finish());
  };
  EXPECT_EQ(refusal([](auto& r) { r.set_checkpoint("nonsense"); }), "NAME_INVALID");
  EXPECT_EQ(refusal([](auto& r) { r.set_checkpoint("runs/r/checkpoints/9"); }),
            "CHECKPOINT_NOT_FOUND");
  EXPECT_EQ(refusal([](auto& r) { r.set_part("optimizer"); }), "PART_NOT_FOUND");
  EXPECT_EQ(refusal([](auto& r) { r.set_rank(1); }), "PART_NOT_FOUND");
  EXPECT_EQ(refusal([](auto& r) { r.set_offset(4); }), "FIELD_INVALID");
  EXPECT_EQ(refusal([](auto& r) { r.set_offset(-1); }), "FIELD_INVALID");
  EXPECT_EQ(refusal([](auto& r) { r.set_length(-1); }), "FIELD_INVALID");
  EXPECT_EQ(DownloadCall(Channel(), Request()).ReadAll(), "abc");
}

TEST_F(DownloadWireTest, AMessageThatIsNoRequestIsRefused) {
  EXPECT_EQ(Call("/ckpt.v1.WeightService/Download", "\x0a\x7f!"),
            "status " + std::to_string(grpc::StatusCode::FAILED_PRECONDITION));
}

// Blocks are read ahead of what is sent; the damaged one ends the stream all the same, and exactly
// there.
TEST_F(DownloadWireTest, WhatIsIntactBeforeDamageIsServedAndNothingElse) {
  const std::string content = Content();
  ASSERT_NO_FATAL_FAILURE(Save(content));
  Damage(2 * kDigestBlockBytes + 5);
  DownloadCall call(Channel(), Request());
  EXPECT_TRUE(call.ReadAll() == content.substr(0, 2 * kDigestBlockBytes));
  const grpc::Status status = call.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(ReasonOf(status), "BLOB_CORRUPT");
  DownloadCall within(Channel(), Request(2 * kDigestBlockBytes + 100, 10));
  EXPECT_EQ(within.ReadAll(), "") << "the block is damaged elsewhere, but it is";
  EXPECT_EQ(within.Finish().error_code(), grpc::StatusCode::DATA_LOSS);
  DownloadCall after(Channel(), Request(3 * kDigestBlockBytes));
  EXPECT_TRUE(after.ReadAll(3 * kDigestBlockBytes) == content.substr(3 * kDigestBlockBytes));
  EXPECT_TRUE(after.Finish().ok());
}

TEST_F(DownloadWireTest, ADeletedCheckpointIsReadToItsEnd) {
  const std::string content = Content();
  ASSERT_NO_FATAL_FAILURE(Save(content));
  DownloadCall call(Channel(), Request());
  v1::DownloadResponse response;
  ASSERT_TRUE(call.Read(&response)) << "it is open";
  grpc::ClientContext context;
  v1::DeleteRunRequest request;
  request.set_name("runs/r");
  google::protobuf::Empty empty;
  const grpc::Status deleted = catalog_->DeleteRun(&context, request, &empty);
  ASSERT_TRUE(deleted.ok()) << deleted.error_message();
  EXPECT_TRUE(call.ReadAll() == content);
  EXPECT_TRUE(call.Finish().ok());
}

// Those that nobody reads wait alone, and give their places back when they are broken off.
TEST_F(DownloadWireTest, SlowReadersAreInNobodysWay) {
  constexpr int kMost = 64;
  // More than gRPC takes in of a stream that is not read: none may come to its end.
  const std::string content(12 * kDigestBlockBytes, 's');
  ASSERT_NO_FATAL_FAILURE(Save(content));
  v1::DownloadResponse response;
  std::vector<std::unique_ptr<DownloadCall>> slow;
  while (slow.size() < kMost - 1) {
    slow.push_back(std::make_unique<DownloadCall>(Channel(), Request()));
    ASSERT_TRUE(slow.back()->Read(&response)) << slow.back()->Finish().error_message();
  }
  {
    DownloadCall last(Channel(), Request());
    ASSERT_TRUE(last.Read(&response));
    DownloadCall one_more(Channel(), Request());
    EXPECT_FALSE(one_more.Read(&response));
    EXPECT_EQ(ReasonOf(one_more.Finish()), "LIMIT_EXCEEDED");
    EXPECT_TRUE(last.ReadAll() == content);
    EXPECT_TRUE(last.Finish().ok());
  }
  EXPECT_TRUE(Trainer(Channel()).Hello()) << "a disk thread is free, too";
  for (const auto& call : slow) call->Cancel();
  for (const auto& call : slow) EXPECT_FALSE(call->Finish().ok());
  // The daemon is told of each end by itself: it is asked as often as it answers.
  slow.clear();
  while (slow.size() < kMost) {
    auto call = std::make_unique<DownloadCall>(Channel(), Request());
    if (call->Read(&response)) {
      slow.push_back(std::move(call));
    } else {
      ASSERT_EQ(ReasonOf(call->Finish()), "LIMIT_EXCEEDED");
    }
  }
}

}  // namespace
}  // namespace ckpt::wire
