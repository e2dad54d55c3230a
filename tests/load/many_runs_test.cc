#include <gmock/gmock.h>

#include "ckpt/v1/catalog_service.grpc.pb.h"
#include "tests/bench/machine.h"
#include "tests/load/load.h"

namespace ckpt::load {
namespace {

constexpr int64_t kMib = 1 << 20;
constexpr int kRuns = 10'000;

class ManyRunsTest : public LoadTest {};

TEST_F(ManyRunsTest, TenThousandAreListedAndCostTheIdleDaemonNothing) {
  const int64_t idle = bench::ResidentMemory(pid());
  const auto channel = Connect();
  constexpr int kAtOnce = 100;
  for (int first = 0; first < kRuns; first += kAtOnce) {
    std::vector<std::unique_ptr<wire::Trainer>> trainers;
    for (int i = first; i < first + kAtOnce; ++i) {
      trainers.push_back(std::make_unique<wire::Trainer>(channel));
      v1::TrainRequest hello;
      hello.mutable_hello()->set_run("runs/r" + std::to_string(i));
      ASSERT_TRUE(trainers.back()->Send(hello));
    }
    for (const auto& trainer : trainers) ASSERT_TRUE(trainer->Read().has_value());
  }
  const auto catalog = v1::CatalogService::NewStub(channel);
  v1::ListRunsRequest request;
  request.set_page_size(1000);
  int listed = 0;
  do {
    grpc::ClientContext context;
    v1::ListRunsResponse response;
    ASSERT_TRUE(catalog->ListRuns(&context, request, &response).ok());
    listed += response.runs_size();
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(listed, kRuns);
  AwaitTrainers(0);
  ExpectService("another");
  EXPECT_LT(bench::ResidentMemory(pid()) - idle, 128 * kMib);
}

}  // namespace
}  // namespace ckpt::load
