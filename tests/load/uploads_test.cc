#include <fstream>
#include <memory>
#include <vector>

#include "tests/bench/machine.h"
#include "tests/load/load.h"

namespace ckpt::load {
namespace {

constexpr int64_t kMib = 1 << 20;
constexpr int kUploads = 100;
constexpr int kBudgetMib = 256;

class UploadsTest : public LoadTest {
 protected:
  UploadsTest() : LoadTest({"--config", WriteConfig()}) {}

  // Ends by the time the daemon has been started.
  static std::string WriteConfig() {
    static const integration::ScratchFolder& folder = *new integration::ScratchFolder();
    std::ofstream(folder / "ckptd.yaml")
        << "limits: {max_chunk_kib: 1024, upload_memory_mib: " << kBudgetMib << "}\n";
    return folder / "ckptd.yaml";
  }

  v1::UploadStart Stage(int number) {
    v1::UploadStart start;
    start.mutable_staged()->set_run("runs/r");
    start.mutable_staged()->set_stage_id("s" + std::to_string(number));
    return start;
  }
};

TEST_F(UploadsTest, AHundredAtOnceShareTheirMemory) {
  const std::string chunk(kMib, 'c');
  constexpr int kChunks = 16;
  wire::Trainer trainer(Connect());
  ASSERT_TRUE(trainer.Hello().has_value());
  const int64_t idle = bench::ResidentMemory(pid());
  bench::ResetPeakMemory(pid());
  std::vector<std::unique_ptr<wire::Upload>> uploads;
  for (int i = 0; i < kUploads; ++i) {
    uploads.push_back(std::make_unique<wire::Upload>(Connect()));
    ASSERT_TRUE(uploads.back()->Start(Stage(i)).has_value()) << i;
  }
  for (int64_t k = 0; k < kChunks; ++k) {
    for (const auto& upload : uploads) ASSERT_TRUE(upload->Chunk(k * kMib, chunk));
  }
  ExpectService("another");
  std::string content;
  for (int k = 0; k < kChunks; ++k) content += chunk;
  for (const auto& upload : uploads) ASSERT_TRUE(upload->FinishWith(content).has_value());
  // The budget, and what gRPC holds for each connection: a window that it lets grow to 4 MiB.
  EXPECT_LT(bench::PeakMemory(pid()) - idle, (kBudgetMib + 4 * kUploads) * kMib);
}

TEST_F(UploadsTest, SendersThatStallDoNotStopOthers) {
  wire::Trainer trainer(Connect());
  ASSERT_TRUE(trainer.Hello().has_value());
  std::vector<std::unique_ptr<wire::Upload>> stalled;
  for (int i = 0; i < kUploads; ++i) {
    stalled.push_back(std::make_unique<wire::Upload>(Connect()));
    ASSERT_TRUE(stalled.back()->Start(Stage(i)).has_value()) << i;
    ASSERT_TRUE(stalled.back()->Chunk(0, "a beginning"));
  }
  ExpectService("another");
}

}  // namespace
}  // namespace ckpt::load
