#include "server/rpc/job_stream.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ckpt/v1/admin_service.grpc.pb.h"
#include "server/run/limits.h"
#include "tests/unit/storage/testing/store_fixture.h"

namespace ckpt::server {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;
using Job = JobStream<v1::VerifyResponse>;

// A server whose one call is the job of the test.
class JobStreamTest : public storage::StoreFixture {
 protected:
  class Service final : public v1::AdminService::CallbackService {
   public:
    explicit Service(JobStreamTest& test) : test_(test) {}
    grpc::ServerWriteReactor<v1::VerifyResponse>* Verify(
        grpc::CallbackServerContext* /*call*/, const v1::VerifyRequest* /*request*/) override {
      return Job::Start(*test_.context_, std::move(test_.begin_), std::move(test_.wait_));
    }

   private:
    JobStreamTest& test_;
  };

  void SetUp() override {
    Open();
    index_ = std::make_unique<IndexWriter>(*store_, executors_, metrics_);
    runs_ = std::make_unique<RunRegistry>(RunServices{*store_, executors_, *index_, budget_,
                                                      metrics_, clock_, std::chrono::hours(1)});
    context_ = std::make_unique<ServerContext>(ServerContext{
        *store_, executors_, *runs_, budget_, metrics_, policies_, {}, 1, [](v1::Status&) {}, 1});
    server_ = grpc::ServerBuilder().RegisterService(&service_).BuildAndStart();
    stub_ = v1::AdminService::NewStub(server_->InProcessChannel({}));
  }
  void TearDown() override {
    server_->Shutdown();
    executors_.Stop();
  }

  // Calls; what came until the end.
  std::vector<int64_t> Call(grpc::Status* status) {
    grpc::ClientContext context;
    auto reader = stub_->Verify(&context, {});
    std::vector<int64_t> came;
    for (v1::VerifyResponse response; reader->Read(&response);) {
      came.push_back(response.checkpoints());
    }
    *status = reader->Finish();
    return came;
  }

  Metrics metrics_;
  Executors executors_{2};
  ByteBudget budget_{kMaxPendingEventBytes};
  ConfiguredPolicies policies_;
  std::unique_ptr<IndexWriter> index_;
  std::unique_ptr<RunRegistry> runs_;
  std::unique_ptr<ServerContext> context_;
  Service service_{*this};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::AdminService::Stub> stub_;

  // Of the next call.
  Job::Begin begin_;
  Job::Wait wait_ = [](const v1::VerifyResponse&) { return milliseconds(0); };
};

// Sends 1, 2 … `last`.
Job::Step CountTo(int64_t last) {
  return [last, next = int64_t{0}](v1::VerifyResponse* response) mutable {
    response->set_checkpoints(++next);
    response->set_done(next == last);
    return absl::OkStatus();
  };
}

TEST_F(JobStreamTest, SendsAMessageAPieceUntilTheWorkIsDone) {
  std::vector<int64_t> waited;  // written on the strand, read when the call has ended
  begin_ = [] { return CountTo(3); };
  wait_ = [&](const v1::VerifyResponse& response) {
    waited.push_back(response.checkpoints());
    return milliseconds(1);
  };
  grpc::Status status;
  EXPECT_THAT(Call(&status), ElementsAre(1, 2, 3));
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(waited, ElementsAre(1, 2)) << "after the last there is nothing to wait for";
}

TEST_F(JobStreamTest, WhatCannotBeginIsToldAtOnce) {
  begin_ = []() -> absl::StatusOr<Job::Step> { return RunNotFound("r"); };
  grpc::Status status;
  EXPECT_THAT(Call(&status), IsEmpty());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(JobStreamTest, APieceThatFailsEndsTheCall) {
  begin_ = []() -> absl::StatusOr<Job::Step> {
    return [count = CountTo(9)](v1::VerifyResponse* response) mutable {
      count(response).IgnoreError();
      return response->checkpoints() < 3 ? absl::OkStatus() : StorageFailed("the disk is gone");
    };
  };
  grpc::Status status;
  EXPECT_THAT(Call(&status), ElementsAre(1, 2));
  EXPECT_EQ(status.error_message(), "the disk is gone");
}

TEST_F(JobStreamTest, EndsWhenTheDaemonDrains) {
  begin_ = [this]() -> absl::StatusOr<Job::Step> {
    return [this, count = CountTo(9)](v1::VerifyResponse* response) mutable {
      runs_->Drain();
      return count(response);
    };
  };
  grpc::Status status;
  EXPECT_THAT(Call(&status), ElementsAre(1));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
}

// So that who has been told may begin anew at once, where one at a time is allowed.
TEST_F(JobStreamTest, LetsGoOfWhatTheWorkHeldBeforeTheEndIsTold) {
  for (int round = 0; round < 200; ++round) {
    const auto turn = std::make_shared<int>(0);
    begin_ = [weak = std::weak_ptr<int>(turn)]() -> absl::StatusOr<Job::Step> {
      return [held = weak.lock(), count = CountTo(2)](v1::VerifyResponse* response) mutable {
        return count(response);
      };
    };
    wait_ = [](const v1::VerifyResponse&) { return milliseconds(0); };
    grpc::Status status;
    EXPECT_THAT(Call(&status), ElementsAre(1, 2));
    ASSERT_EQ(turn.use_count(), 1) << "in round " << round;
  }
}

TEST_F(JobStreamTest, StopsWhenItsCallerIsGone) {
  std::promise<void> gone;
  begin_ = [&]() -> absl::StatusOr<Job::Step> {
    std::shared_ptr<void> held(nullptr, [&](void*) { gone.set_value(); });
    return [held = std::move(held), count = CountTo(-1)](v1::VerifyResponse* response) mutable {
      return count(response);
    };
  };
  grpc::ClientContext context;
  auto reader = stub_->Verify(&context, {});
  v1::VerifyResponse response;
  ASSERT_TRUE(reader->Read(&response));
  context.TryCancel();
  gone.get_future().wait();  // it would never end
}

}  // namespace
}  // namespace ckpt::server
