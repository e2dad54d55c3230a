#include <memory>
#include <string>
#include <vector>

#include "tests/bench/machine.h"
#include "tests/load/load.h"

namespace ckpt::load {
namespace {

constexpr int64_t kMib = 1 << 20;
constexpr int kDownloads = 64;
constexpr int64_t kBlockMib = 4;
constexpr int64_t kAhead = 16;  // downloads that hold a second block

// One that has begun, and is never read again.
class StalledDownload {
 public:
  StalledDownload(const std::shared_ptr<grpc::Channel>& channel, const std::string& checkpoint)
      : stub_(v1::WeightService::NewStub(channel)) {
    v1::DownloadRequest request;
    request.set_checkpoint(checkpoint);
    stream_ = stub_->Download(&context_, request);
    v1::DownloadResponse header;
    EXPECT_TRUE(stream_->Read(&header));
  }
  ~StalledDownload() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::WeightService::Stub> stub_;
  std::unique_ptr<grpc::ClientReader<v1::DownloadResponse>> stream_;
};

class DownloadsTest : public LoadTest {};

TEST_F(DownloadsTest, ThoseThatNobodyReadsHoldABlockEach) {
  wire::Trainer trainer(Connect());
  v1::Hello hello;
  *hello.add_policies() = wire::BestPolicy();
  ASSERT_TRUE(trainer.Hello(hello).has_value());
  const auto decision = trainer.Epoch(1, 0, 0.5);
  ASSERT_TRUE(decision && decision->saves_size() == 1);
  const std::string save = decision->saves(0).name();
  const std::string chunk(kMib / 2, 'c');
  std::string content;
  wire::Upload upload(Connect());
  ASSERT_TRUE(upload.Start(wire::ForSave(save)));
  for (int64_t i = 0; i < 16 * kBlockMib; ++i) {
    ASSERT_TRUE(upload.Chunk(i * kMib / 2, chunk));
    content += chunk;
  }
  ASSERT_TRUE(upload.FinishWith(content));

  const int64_t idle = bench::ResidentMemory(pid());
  bench::ResetPeakMemory(pid());
  std::vector<std::unique_ptr<StalledDownload>> stalled;
  for (int i = 0; i < kDownloads; ++i) {
    stalled.push_back(std::make_unique<StalledDownload>(Connect(), save));
  }
  ExpectService("another");
  // The blocks, and 1 MiB for each connection.
  EXPECT_LT(bench::PeakMemory(pid()) - idle,
            ((kDownloads + kAhead) * kBlockMib + kDownloads) * kMib);
}

}  // namespace
}  // namespace ckpt::load
