// A disk that fails under a real daemon.
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "tests/crash/tracer.h"
#include "wire.h"

namespace ckpt::wire {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";
const std::string kServing("\x08\x01");
const std::string kNotServing("\x08\x02");

class FailingDiskWireTest : public WireTest {
 protected:
  static v1::Hello HelloWithPolicy() {
    v1::Hello hello;
    *hello.add_policies() = BestPolicy();
    return hello;
  }
  v1::Status DaemonStatus() {
    grpc::ClientContext context;
    v1::Status status;
    const grpc::Status got = v1::AdminService::NewStub(Channel())->GetStatus(&context, {}, &status);
    EXPECT_TRUE(got.ok()) << got.error_message();
    return status;
  }
};

// The first sync that each thread does fails; later ones would not. That the kernel says yes the
// second time proves nothing, so what failed once stays failed until a restart reads what is there.
TEST_F(FailingDiskWireTest, AFailedSyncOfTheIndexStopsSavesAndNothingElse) {
  Trainer trainer(Channel());
  ASSERT_TRUE(trainer.Hello(HelloWithPolicy()));
  ASSERT_TRUE(trainer.Epoch(1, 0, 0.5));
  ASSERT_TRUE(UploadAll("runs/r/checkpoints/1", "first").ok());
  EXPECT_EQ(Call(kHealthCheck, ""), kServing);

  const std::string trace = folder_ / "trace";
  const crash::Injection failure{.call = "fdatasync", .nth = 1, .effect = "error=EIO"};
  const auto tracer = crash::Attach(daemon_.pid(), trace, &failure);
  trainer.Send(Events({EpochEnd(2, 1, 0.4)}));
  while (trainer.Read()) {
  }
  const grpc::Status ended = trainer.Finish();
  EXPECT_EQ(ended.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(ended), "STORAGE_FAILED");
  EXPECT_TRUE(crash::HasFailedCall(trace));

  const v1::Status status = DaemonStatus();
  EXPECT_FALSE(status.serving());
  EXPECT_THAT(status.not_serving_reason(), HasSubstr("the index takes no more writes"));
  EXPECT_EQ(Call(kHealthCheck, ""), kNotServing);

  // No save after it is taken, by nobody.
  for (int attempt = 0; attempt < 3; ++attempt) {
    Trainer next(Channel());
    const auto welcome = next.Hello(HelloWithPolicy());
    EXPECT_FALSE(welcome.has_value());
    const grpc::Status refused = next.Finish();
    EXPECT_EQ(ReasonOf(refused), "STORAGE_FAILED") << refused.error_message();
  }
  // What there is is served.
  EXPECT_THAT(List(), SizeIs(1));
  EXPECT_EQ(Download("runs/r/checkpoints/1"), "first");

  daemon_.Kill();
  ASSERT_TRUE(daemon_.Start());
  EXPECT_EQ(Call(kHealthCheck, ""), kServing);
  EXPECT_EQ(Download("runs/r/checkpoints/1"), "first");
  Trainer again(Channel());
  const auto welcome = again.Hello(HelloWithPolicy());
  ASSERT_TRUE(welcome.has_value());
  const auto decision = again.Epoch(welcome->durable_seq() + 1, 2, 0.1);
  ASSERT_TRUE(decision && decision->saves_size() == 1);
  EXPECT_TRUE(UploadAll(decision->saves(0).name(), "second").ok());
}

// A part whose sync fails is given up. The daemon is well, and the save still takes uploads.
TEST_F(FailingDiskWireTest, AFailedSyncOfAPartFailsItsUpload) {
  Trainer trainer(Channel());
  ASSERT_TRUE(trainer.Hello(HelloWithPolicy()));
  const auto decision = trainer.Epoch(1, 0, 0.5);
  ASSERT_TRUE(decision && decision->saves_size() == 1);
  {
    const crash::Injection failure{.call = "fdatasync", .nth = 1, .effect = "error=EIO"};
    const auto tracer = crash::Attach(daemon_.pid(), folder_ / "trace", &failure);
    const grpc::Status failed = UploadAll(decision->saves(0).name(), "first");
    EXPECT_EQ(failed.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(ReasonOf(failed), "STORAGE_FAILED") << failed.error_message();
    tracer->Signal(SIGTERM);
    tracer->Wait();
  }
  EXPECT_TRUE(DaemonStatus().serving());
  EXPECT_EQ(Call(kHealthCheck, ""), kServing);
  EXPECT_THAT(List(), IsEmpty());
  // Its bytes were given up: they are sent from the beginning.
  Upload upload(Channel());
  EXPECT_EQ(upload.Start(ForSave(decision->saves(0).name())), 0);
  upload.Chunk(0, "first");
  EXPECT_TRUE(upload.FinishWith("first"));
  EXPECT_EQ(Download("runs/r/checkpoints/1"), "first");
}

// The name was free when the save was decided, and is not any more when it has been stored.
TEST_F(FailingDiskWireTest, ACheckpointThatCannotHaveItsNameSaysSo) {
  Trainer trainer(Channel());
  ASSERT_TRUE(trainer.Hello(HelloWithPolicy()));
  ASSERT_TRUE(trainer.Epoch(1, 0, 0.5));
  fs::create_directories(RunFolder() + "/m-01");
  std::ofstream(RunFolder() + "/m-01/mine") << "not a checkpoint";
  ASSERT_TRUE(UploadAll("runs/r/checkpoints/1", "first").ok());
  const auto outcome = trainer.NextOutcome();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->reason(), v1::ERROR_REASON_UNSPECIFIED);
  ASSERT_EQ(outcome->checkpoint().placements_size(), 1);
  EXPECT_THAT(outcome->checkpoint().placements(0).projection_error(), HasSubstr("m-01"));
  EXPECT_THAT(List(), SizeIs(1));
  EXPECT_THAT(List()[0].placements(0).projection_error(), HasSubstr("m-01"));
  EXPECT_EQ(Download("runs/r/checkpoints/1"), "first");
  EXPECT_TRUE(fs::exists(RunFolder() + "/m-01/mine"));
}

}  // namespace
}  // namespace ckpt::wire
