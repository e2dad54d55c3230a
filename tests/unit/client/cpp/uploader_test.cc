// Saves of a Run while uploads break and end.
#include "client/cpp/src/uploader.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>

#include "ckpt/errors.h"
#include "client/cpp/src/hand_over.h"
#include "storage/base/errors.h"
#include "tests/unit/client/cpp/run_fixture.h"

namespace ckpt {
namespace {

using ckpt::testing::FakeDaemon;
using ckpt::testing::RunTest;
using ckpt::testing::SaveAtEpochEnds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kSave[] = "runs/run/checkpoints/1";

class UploaderTest : public RunTest {
 protected:
  UploaderTest() { daemon_.script.decide = SaveAtEpochEnds; }

  // One epoch with a save, to the end.
  absl::Status SaveOnce() {
    auto run = Start();
    EXPECT_TRUE(run->OnEpochEnd(0, {}).ok());
    return run->Close();
  }
};

TEST_F(UploaderTest, ABreakAtAnyMessageLosesNothing) {
  int cuts = 1;
  int cut = 0;
  while (cuts > 0) {
    SCOPED_TRACE(++cut);
    FakeDaemon daemon;
    daemon.script.decide = SaveAtEpochEnds;
    daemon.script.cut_upload_at = cut;
    options_.server = daemon.address();
    EXPECT_TRUE(SaveOnce().ok());
    EXPECT_EQ(daemon.contents[kSave]["weights"], Content(kSave));
    EXPECT_TRUE(daemon.checkpoints.contains(kSave));
    EXPECT_TRUE(daemon.abandoned.empty());
    cuts = daemon.cuts;
    ASSERT_LT(cut, 50);
  }
  EXPECT_EQ(cut, 9) << "start, its answer, four chunks, finish, its answer; then none";
}

TEST_F(UploaderTest, ARestartOfTheDaemonLosesNothing) {
  daemon_.script.cut_upload_at = 4;
  auto run = Start();
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  daemon_.Restart();
  ASSERT_TRUE(run->OnEpochEnd(1, {}).ok());
  ASSERT_TRUE(run->Close().ok());
  EXPECT_EQ(daemon_.checkpoints.size(), 2u);
  EXPECT_EQ(daemon_.contents[kSave]["weights"], Content(kSave));
}

TEST_F(UploaderTest, DamagedBytesAreSentAgain) {
  daemon_.script.chunk_errors = {absl::OkStatus(), ChunkCorrupt(1000)};
  daemon_.script.finish_errors = {DigestMismatch("weights", "a", "b")};
  EXPECT_TRUE(SaveOnce().ok());
  EXPECT_EQ(daemon_.uploads, 3);
  EXPECT_EQ(daemon_.contents[kSave]["weights"], Content(kSave));
}

TEST_F(UploaderTest, ButNotForEver) {
  daemon_.script.finish_errors.assign(10, DigestMismatch("weights", "a", "b"));
  const absl::Status status = SaveOnce();
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_DIGEST_MISMATCH) << status;
  EXPECT_EQ(daemon_.uploads, 3);
  EXPECT_EQ(daemon_.abandoned.size(), 1u);
}

TEST_F(UploaderTest, AFinalErrorEndsTheSaveAndIsReported) {
  daemon_.script.upload_error = FileError("write", "/data", ENOSPC);
  auto run = Start();
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  ASSERT_TRUE(run->OnEpochEnd(1, {}).ok()) << "training goes on";
  const absl::Status status = run->Close();
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_DISK_FULL) << status;
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("2 saves failed"));
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("runs/run/checkpoints/1"));
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("runs/run/checkpoints/2"));
  EXPECT_EQ(daemon_.abandoned.size(), 2u);
}

TEST_F(UploaderTest, ASaveThatIsOverIsNotGivenUp) {
  options_.reconnect_timeout = std::chrono::milliseconds(100);
  daemon_.script.upload_error = SaveNotOpen(kSave, "replaced");
  const absl::Status status = SaveOnce();
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_SAVE_NOT_OPEN) << "nobody told why: " << status;
  EXPECT_TRUE(daemon_.abandoned.empty());
}

TEST_F(UploaderTest, WhyASaveIsOverMayBeToldAfterItsUploadIsRefused) {
  daemon_.script.upload_error = SaveNotOpen(kSave, "it failed, or was never decided");
  auto run = Start();
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  while (daemon_.With([](const FakeDaemon& daemon) { return daemon.uploads; }) == 0) {
  }
  v1::SaveOutcome outcome;
  outcome.set_save(kSave);
  outcome.set_reason(v1::ERROR_REASON_SAVE_ABANDONED);
  daemon_.SendOutcome(outcome);
  const absl::Status status = run->Close();
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_SAVE_ABANDONED) << status;
}

TEST_F(UploaderTest, GivesUpWhenNothingGetsThrough) {
  options_.reconnect_timeout = std::chrono::milliseconds(100);
  daemon_.script.upload_error = Draining();
  const absl::Status status = SaveOnce();
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_DRAINING) << status;
  EXPECT_GT(daemon_.uploads, 1);
  EXPECT_EQ(daemon_.abandoned.size(), 1u);
}

TEST_F(UploaderTest, TheOutcomeEndsASaveOfSeveralRanks) {
  daemon_.script.answer_saving = true;
  auto run = Start();
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  v1::SaveOutcome outcome;
  outcome.set_save(kSave);
  outcome.mutable_checkpoint()->set_name(kSave);
  daemon_.SendOutcome(outcome);
  EXPECT_TRUE(run->Flush().ok());

  ASSERT_TRUE(run->OnEpochEnd(1, {}).ok());
  outcome.set_save("runs/run/checkpoints/2");
  outcome.clear_checkpoint();
  outcome.set_reason(v1::ERROR_REASON_SAVE_ABANDONED);
  outcome.set_message("rank 3 is gone");
  daemon_.SendOutcome(outcome);
  const absl::Status status = run->Close();
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_SAVE_ABANDONED) << status;
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("rank 3 is gone"));
  EXPECT_TRUE(daemon_.abandoned.empty()) << "the daemon knows";
}

TEST_F(UploaderTest, AnOutcomeThatWasLostIsToldAgain) {
  daemon_.script.answer_saving = true;
  auto run = Start();
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  v1::Checkpoint committed;
  committed.set_name(kSave);
  daemon_.AddCheckpoint(committed, {});
  daemon_.With([](FakeDaemon& daemon) {
    daemon.open_saves.clear();
    return 0;
  });
  daemon_.Restart();
  ASSERT_TRUE(run->OnTrainEnd().ok());
  EXPECT_TRUE(run->Close().ok());
}

TEST_F(UploaderTest, TheMemoryIsHeldAsLongAsTheSaveIsOnItsWay) {
  auto bytes = std::make_shared<const std::string>(5000, 'x');
  const std::weak_ptr<const std::string> watched = bytes;
  options_.weights = [&](const v1::Checkpoint&) {
    const std::string_view view = *bytes;
    return std::vector{PartBytes{"weights", view, std::move(bytes)}};
  };
  auto run = Start();
  ASSERT_TRUE(run->OnEpochEnd(0, {}).ok());
  ASSERT_TRUE(run->Close().ok());
  EXPECT_EQ(daemon_.contents[kSave]["weights"], std::string(5000, 'x'));
  run.reset();
  EXPECT_TRUE(watched.expired());
}

// Saves whose bytes the daemon has already, without a Run around.
class StagedSaveTest : public ::testing::Test {
 protected:
  static v1::SaveOutcome Committed() {
    v1::SaveOutcome outcome;
    outcome.set_save(kSave);
    outcome.mutable_checkpoint()->set_name(kSave);
    return outcome;
  }

  FakeDaemon daemon_;
  std::shared_ptr<grpc::Channel> channel_ =
      grpc::CreateChannel(daemon_.address(), grpc::InsecureChannelCredentials());
  std::unique_ptr<v1::CatalogService::Stub> catalog_ = v1::CatalogService::NewStub(channel_);
  client::HandOver hand_over_{channel_, daemon_.address(), {}};
  client::Uploader uploader_{
      hand_over_, *catalog_,
      client::UploaderOptions{.server = daemon_.address(), .patience = std::chrono::hours(1)}};
};

TEST_F(StagedSaveTest, EndsWithItsOutcome) {
  uploader_.AwaitStaged(kSave);
  EXPECT_TRUE(uploader_.Owes(kSave));
  uploader_.OnOutcome(Committed());
  EXPECT_TRUE(uploader_.AwaitIdle().ok());
  EXPECT_FALSE(uploader_.Owes(kSave));
}

TEST_F(StagedSaveTest, IsAwaitedUntilItIsTold) {
  uploader_.AwaitStaged(kSave);
  EXPECT_THAT(uploader_.Awaited(), ElementsAre(kSave));
  uploader_.OnOutcome(Committed());
  EXPECT_THAT(uploader_.Awaited(), IsEmpty());
  EXPECT_TRUE(uploader_.AwaitIdle().ok());
}

TEST_F(StagedSaveTest, TheOutcomeMayComeFirst) {
  uploader_.OnOutcome(Committed());
  uploader_.AwaitStaged(kSave);
  EXPECT_TRUE(uploader_.AwaitIdle().ok());
}

TEST_F(StagedSaveTest, FailsWhenTheDaemonIsGoneForGood) {
  const std::string nobody = "unix:/nowhere/ckptd.sock";
  const auto channel = grpc::CreateChannel(nobody, grpc::InsecureChannelCredentials());
  const auto catalog = v1::CatalogService::NewStub(channel);
  client::HandOver hand_over(channel, nobody, {});
  client::Uploader uploader(
      hand_over, *catalog,
      client::UploaderOptions{.server = nobody,
                              .patience = std::chrono::milliseconds(1),
                              .abandon = [](const std::string&, const std::string&) {}});
  uploader.AwaitStaged(kSave);
  EXPECT_TRUE(absl::IsUnavailable(uploader.AwaitIdle()));
}

// A trainer that had been replaced while it waited for an outcome waited for ever.
TEST_F(StagedSaveTest, IsNotWaitedForWhenTheSessionIsLost) {
  uploader_.AwaitStaged(kSave);
  uploader_.OnLost(WriterFenced("run", 0, 1, 2));
  EXPECT_EQ(ReasonOf(uploader_.AwaitIdle()), v1::ERROR_REASON_WRITER_FENCED);
}

TEST_F(StagedSaveTest, IsLookedUpWhenTheSessionWasLostBefore) {
  v1::Checkpoint committed;
  committed.set_name(kSave);
  daemon_.AddCheckpoint(committed, {});
  uploader_.OnLost(WriterFenced("run", 0, 1, 2));
  uploader_.AwaitStaged(kSave);
  EXPECT_TRUE(uploader_.AwaitIdle().ok());
}

}  // namespace
}  // namespace ckpt
