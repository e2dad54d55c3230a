#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "wire.h"

namespace ckpt::wire {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class UploadWireTest : public WireTest {
 protected:
  UploadWireTest() {
    v1::Hello hello;
    *hello.add_policies() = BestPolicy();
    EXPECT_TRUE(trainer_.Hello(hello));
  }
  // Opens the next save.
  std::string Save() {
    ++seq_;
    const auto decision =
        trainer_.Epoch(seq_, static_cast<int64_t>(seq_) - 1, 1.0 / static_cast<double>(seq_));
    EXPECT_TRUE(decision && decision->saves_size() == 1);
    return decision ? decision->saves(0).name() : "";
  }
  bool StagingIsEmpty() { return std::filesystem::is_empty(daemon_.data_dir() + "/staging"); }
  v1::UploadStart Stage(const std::string& id) {
    v1::UploadStart start;
    start.mutable_staged()->set_run("runs/r");
    start.mutable_staged()->set_stage_id(id);
    return start;
  }
  void UploadStage(const std::string& id, const std::string& content) {
    Upload upload(Channel());
    ASSERT_EQ(upload.Start(Stage(id)), 0);
    upload.Chunk(0, content);
    ASSERT_TRUE(upload.FinishWith(content));
    ASSERT_TRUE(upload.Status().ok());
  }

  Trainer trainer_{Channel()};
  uint64_t seq_ = 0;
};

TEST_F(UploadWireTest, WrongStartsAreRefused) {
  const std::string save = Save();
  struct Case {
    const char* what;
    v1::UploadStart start;
    const char* reason;
  };
  v1::UploadStart part = ForSave(save);
  part.set_part("../x");
  v1::UploadStart manifest = ForSave(save);
  manifest.set_part("manifest.json");
  v1::UploadStart rank = ForSave(save);
  rank.set_rank(3);
  v1::UploadStart parts = ForSave(save);
  parts.set_part_count(1000);
  v1::UploadStart size = ForSave(save);
  size.set_size(int64_t{1} << 60);
  v1::UploadStart ahead = ForSave(save);
  ahead.set_offset(5);
  v1::UploadStart no_run = Stage("s");
  no_run.mutable_staged()->set_run("runs/nope");
  const Case cases[] = {
      {"no target", {}, "FIELD_INVALID"},
      {"unknown save", ForSave("runs/r/checkpoints/99"), "SAVE_NOT_OPEN"},
      {"unknown run", ForSave("runs/nope/checkpoints/1"), "RUN_NOT_FOUND"},
      {"alias", ForSave("runs/r/checkpoints/best"), "FIELD_INVALID"},
      {"bad name", ForSave("r@1"), "NAME_INVALID"},
      {"part", part, "NAME_INVALID"},
      {"reserved part", manifest, "NAME_INVALID"},
      {"rank", rank, "FIELD_INVALID"},
      {"part count", parts, "FIELD_INVALID"},
      {"too large", size, "LIMIT_EXCEEDED"},
      {"from the middle", ahead, "OFFSET_MISMATCH"},
      {"stage of no run", no_run, "RUN_NOT_FOUND"},
      {"stage id", Stage("a/b"), "NAME_INVALID"},
  };
  for (const Case& test : cases) {
    Upload upload(Channel());
    EXPECT_FALSE(upload.Start(test.start)) << test.what;
    EXPECT_EQ(ReasonOf(upload.Status()), test.reason) << test.what;
  }
  EXPECT_TRUE(UploadAll(save, "still fine").ok());
}

TEST_F(UploadWireTest, WrongChunksAreRefusedAndTheRestCanBeResumed) {
  const std::string save = Save();
  {
    Upload upload(Channel());
    ASSERT_EQ(upload.Start(ForSave(save)), 0);
    upload.Chunk(5, "gap");
    const grpc::Status status = upload.Status();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
    EXPECT_EQ(ReasonOf(status), "OFFSET_MISMATCH");
    EXPECT_EQ(MetadataOf(status, "expected_offset"), "0");
  }
  {
    Upload upload(Channel());
    ASSERT_EQ(upload.Start(ForSave(save)), 0);
    v1::UploadRequest corrupt;
    corrupt.mutable_chunk()->set_data("abc");
    corrupt.mutable_chunk()->set_crc32c(1);
    upload.Send(corrupt);
    EXPECT_EQ(ReasonOf(upload.Status()), "CHUNK_CORRUPT");
  }
  {
    Upload upload(Channel());
    ASSERT_EQ(upload.Start(ForSave(save)), 0);
    v1::UploadRequest empty;
    empty.mutable_chunk();
    upload.Send(empty);
    EXPECT_EQ(ReasonOf(upload.Status()), "FIELD_INVALID");
  }
  {
    Upload upload(Channel());
    ASSERT_EQ(upload.Start(ForSave(save)), 0);
    upload.Chunk(0, std::string((1 << 19) + 1, 'x'));
    EXPECT_EQ(ReasonOf(upload.Status()), "LIMIT_EXCEEDED");
  }
  EXPECT_TRUE(UploadAll(save, "fine").ok());
  EXPECT_EQ(Download(save), "fine");
}

TEST_F(UploadWireTest, BytesSentTwiceAreSkipped) {
  const std::string save = Save();
  Upload upload(Channel());
  ASSERT_EQ(upload.Start(ForSave(save)), 0);
  upload.Chunk(0, "abcdef");
  upload.Chunk(0, "abc");
  upload.Chunk(4, "efgh");
  ASSERT_TRUE(upload.FinishWith("abcdefgh"));
  EXPECT_EQ(Download(save), "abcdefgh");
}

TEST_F(UploadWireTest, WrongEndsPublishNothing) {
  const std::string save = Save();
  {
    Upload upload(Channel());
    ASSERT_EQ(upload.Start(ForSave(save)), 0);
    upload.Chunk(0, "abc");
    EXPECT_EQ(ReasonOf(upload.Status()), "PROTOCOL") << "half-close is no finish";
  }
  struct Case {
    const char* what;
    const char* claimed;
    const char* reason;
  };
  const Case cases[] = {{"short", "abcd", "SIZE_MISMATCH"},
                        {"long", "ab", "SIZE_MISMATCH"},
                        {"other content", "abX", "DIGEST_MISMATCH"}};
  for (const Case& test : cases) {
    Upload upload(Channel());
    const auto offset = upload.Start(ForSave(save));
    ASSERT_TRUE(offset && *offset <= 3) << test.what;
    if (*offset < 3) upload.Chunk(*offset, std::string("abc").substr(static_cast<size_t>(*offset)));
    EXPECT_FALSE(upload.FinishWith(test.claimed)) << test.what;
    const grpc::Status status = upload.Status();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << test.what;
    EXPECT_EQ(ReasonOf(status), test.reason) << test.what;
  }
  EXPECT_THAT(List(), IsEmpty());
  Upload upload(Channel());
  ASSERT_EQ(upload.Start(ForSave(save)), 0) << "wrong bytes were thrown away";
  upload.Chunk(0, "abc");
  EXPECT_TRUE(upload.FinishWith("abc"));
  EXPECT_THAT(List(), SizeIs(1));
}

TEST_F(UploadWireTest, AFinishedSaveSaysSo) {
  const std::string save = Save();
  ASSERT_TRUE(UploadAll(save, "abc").ok());
  Upload upload(Channel());
  v1::UploadRequest start;
  *start.mutable_start() = ForSave(save);
  upload.Send(start);
  const auto response = upload.Read();
  ASSERT_TRUE(response && response->has_finished());
  EXPECT_EQ(response->finished().checkpoint().state(), v1::Checkpoint::STATE_COMMITTED);
  EXPECT_EQ(response->finished().part().size(), 3);
  EXPECT_TRUE(upload.Status().ok());
}

// Its trainer may have missed that it was committed: by a restart after the last byte had come.
TEST_F(UploadWireTest, ASaveThatWasCommittedAndReplacedHasNotFailed) {
  std::vector<std::string> saves;
  for (const double loss : {0.9, 0.8, 0.7}) {  // of one epoch, so of one name
    const auto decision = trainer_.Epoch(++seq_, 0, loss);
    ASSERT_TRUE(decision && decision->saves_size() == 1);
    saves.push_back(decision->saves(0).name());
  }
  v1::TrainRequest abandon;
  abandon.mutable_abandon()->set_save(saves[1]);
  ASSERT_TRUE(trainer_.Send(abandon));
  ASSERT_TRUE(trainer_.NextOutcome());
  ASSERT_TRUE(UploadAll(saves[0], "replaced").ok());
  ASSERT_TRUE(UploadAll(saves[2], "the one that stays").ok());
  ASSERT_THAT(List(), SizeIs(1));
  for (const bool restarted : {false, true}) {
    if (restarted) {
      daemon_.Kill();
      ASSERT_TRUE(daemon_.Start());
    }
    Upload upload(Channel());
    v1::UploadRequest start;
    *start.mutable_start() = ForSave(saves[0]);
    upload.Send(start);
    const auto response = upload.Read();
    ASSERT_TRUE(response && response->has_finished()) << upload.Status().error_message();
    EXPECT_EQ(response->finished().checkpoint().name(), saves[0]);
    EXPECT_EQ(response->finished().checkpoint().state(), v1::Checkpoint::STATE_COMMITTED);
    EXPECT_FALSE(response->finished().has_part());
    EXPECT_TRUE(upload.Status().ok());
    Upload failed(Channel());
    EXPECT_FALSE(failed.Start(ForSave(saves[1])));
    EXPECT_EQ(ReasonOf(failed.Status()), "SAVE_NOT_OPEN") << restarted;
  }
}

TEST_F(UploadWireTest, TwoStreamsDoNotMix) {
  const std::string save = Save();
  Upload first(Channel());
  ASSERT_EQ(first.Start(ForSave(save)), 0);
  Upload second(Channel());
  EXPECT_FALSE(second.Start(ForSave(save)));
  EXPECT_EQ(ReasonOf(second.Status()), "UPLOAD_BUSY");
  first.Chunk(0, "abc");
  EXPECT_TRUE(first.FinishWith("abc"));
}

TEST_F(UploadWireTest, GoesOnAfterTheDaemonWasKilled) {
  const std::string save = Save();
  const std::string content(3 << 20, 'w');
  {
    Upload upload(Channel());
    ASSERT_EQ(upload.Start(ForSave(save)), 0);
    upload.Chunk(0, content.substr(0, 1 << 19));
    upload.Cancel();
  }
  daemon_.Kill();
  ASSERT_TRUE(daemon_.Start());
  Upload upload(Channel());
  const auto offset = upload.Start(ForSave(save));
  ASSERT_TRUE(offset);
  EXPECT_LE(*offset, 1 << 19);
  for (int64_t at = *offset; at < 3 << 20; at += 1 << 19) {
    upload.Chunk(at, content.substr(static_cast<size_t>(at), 1 << 19));
  }
  ASSERT_TRUE(upload.FinishWith(content));
  EXPECT_EQ(Download(save), content);
}

TEST_F(UploadWireTest, SeveralPartsCommitTogether) {
  const std::string save = Save();
  for (const char* part : {"weights", "optimizer"}) {
    EXPECT_THAT(List(), IsEmpty()) << part;
    v1::UploadStart start = ForSave(save);
    start.set_part(part);
    start.set_part_count(2);
    Upload upload(Channel());
    ASSERT_EQ(upload.Start(start), 0);
    upload.Chunk(0, part);
    ASSERT_TRUE(upload.FinishWith(part));
  }
  ASSERT_THAT(List(), SizeIs(1));
  EXPECT_EQ(List()[0].parts_size(), 2);
  EXPECT_TRUE(std::filesystem::is_regular_file(RunFolder() + "/m-01/weights"));
  EXPECT_TRUE(std::filesystem::is_regular_file(RunFolder() + "/m-01/optimizer"));
}

TEST_F(UploadWireTest, AStagedUploadBecomesTheCheckpoint) {
  UploadStage("s1", "staged");
  v1::Event event = EpochEnd(1, 0, 0.5);
  event.set_staged_upload("s1");
  trainer_.Send(Events({event}));
  const auto decision = trainer_.NextDecision();
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->policies(0).action(), v1::PolicyDecision::ACTION_SAVE);
  EXPECT_THAT(decision->saves(), IsEmpty()) << "nothing is owed";
  const auto outcome = trainer_.NextOutcome();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->checkpoint().name(), "runs/r/checkpoints/1");
  EXPECT_EQ(Download("runs/r/checkpoints/1"), "staged");
  EXPECT_TRUE(StagingIsEmpty());
}

TEST_F(UploadWireTest, ALosingStagedUploadIsDiscarded) {
  ASSERT_TRUE(UploadAll(Save(), "best").ok());
  UploadStage("s2", "worse");
  EXPECT_FALSE(StagingIsEmpty());
  v1::Event event = EpochEnd(2, 1, 7);
  event.set_staged_upload("s2");
  trainer_.Send(Events({event}));
  const auto decision = trainer_.NextDecision();
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->policies(0).action(), v1::PolicyDecision::ACTION_SKIP);
  EXPECT_EQ(daemon_.Stop(), 0);  // everything under way has ended
  EXPECT_TRUE(StagingIsEmpty());
}

TEST_F(UploadWireTest, AStageThatIsNotThereLeavesTheSaveOpen) {
  v1::Event event = EpochEnd(1, 0, 0.5);
  event.set_staged_upload("never-sent");
  trainer_.Send(Events({event}));
  const auto decision = trainer_.NextDecision();
  ASSERT_TRUE(decision);
  ASSERT_THAT(decision->saves(), SizeIs(1));
  EXPECT_TRUE(UploadAll(decision->saves(0).name(), "sent now").ok());
}

TEST_F(UploadWireTest, AStageCanBeDiscarded) {
  UploadStage("s3", "unwanted");
  const auto stub = v1::WeightService::NewStub(Channel());
  for (int i = 0; i < 2; ++i) {
    grpc::ClientContext context;
    v1::DiscardStagedRequest request;
    *request.mutable_staged() = Stage("s3").staged();
    v1::DiscardStagedResponse response;
    EXPECT_TRUE(stub->DiscardStaged(&context, request, &response).ok());
  }
  EXPECT_TRUE(StagingIsEmpty());
}

TEST_F(UploadWireTest, AnEmptyPartIsFine) {
  const std::string save = Save();
  ASSERT_TRUE(UploadAll(save, "").ok());
  EXPECT_EQ(Download(save), "");
  EXPECT_THAT(List(), SizeIs(1));
}

// A trainer that is stopped, or gone without a word, holds its upload up; what is durable is kept.
TEST(UploadIdleWireTest, AnUploadThatGetsNoBytesEndsAndIsResumed) {
  const integration::ScratchFolder folder;
  std::ofstream(folder / "ckptd.yaml") << "limits: {upload_idle_seconds: 1}\n";
  integration::DaemonProcess daemon(folder, {"--config", folder / "ckptd.yaml"});
  ASSERT_TRUE(daemon.Start());
  const auto channel = grpc::CreateChannel(daemon.server(), grpc::InsecureChannelCredentials());
  Trainer trainer(channel);
  v1::Hello hello;
  *hello.add_policies() = BestPolicy();
  ASSERT_TRUE(trainer.Hello(hello));
  const auto decision = trainer.Epoch(1, 0, 0.5);
  ASSERT_TRUE(decision && decision->saves_size() == 1);
  const v1::UploadStart start = ForSave(decision->saves(0).name());
  {
    Upload upload(channel);
    ASSERT_EQ(upload.Start(start), 0);
    ASSERT_TRUE(upload.Chunk(0, "abc"));
    while (upload.Read()) {
    }
    EXPECT_EQ(upload.Status().error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  Upload upload(channel);
  const auto offset = upload.Start(start);
  ASSERT_TRUE(offset && *offset <= 3) << "what is durable is kept";
  const std::string content = "abcdef";
  ASSERT_TRUE(upload.Chunk(*offset, content.substr(static_cast<size_t>(*offset))));
  const auto finished = upload.FinishWith(content);
  ASSERT_TRUE(finished);
  EXPECT_EQ(finished->checkpoint().state(), v1::Checkpoint::STATE_COMMITTED);
}

}  // namespace
}  // namespace ckpt::wire
