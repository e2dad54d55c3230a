// SaveRun, as any gRPC client sees it.
#include <gmock/gmock.h>

#include "wire.h"

namespace ckpt::wire {
namespace {

using testing::SizeIs;

// A SaveRun call.
class SaveRun {
 public:
  explicit SaveRun(v1::CatalogService::Stub& catalog, const std::string& run = "runs/r") {
    v1::SaveRunRequest request;
    request.set_name(run);
    stream_ = catalog.SaveRun(&context_, request);
  }
  ~SaveRun() { context_.TryCancel(); }

  // The next message; empty if the call has ended.
  v1::Checkpoint Read() {
    v1::SaveRunResponse response;
    return stream_->Read(&response) ? response.checkpoint() : v1::Checkpoint();
  }
  grpc::Status Finish() { return stream_->Finish(); }
  void Cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::SaveRunResponse>> stream_;
};

class SaveWireTest : public WireTest {
 protected:
  void Connect(Trainer& trainer) {
    v1::Hello hello;
    *hello.add_policies() = BestPolicy("best.ckpt");
    ASSERT_TRUE(trainer.Hello(hello));
  }
};

TEST_F(SaveWireTest, TheTrainerIsAskedAndTheCallerTold) {
  Trainer trainer(Channel());
  Connect(trainer);
  SaveRun call(*catalog_);
  const v1::Checkpoint save = call.Read();
  EXPECT_EQ(save.name(), "runs/r/checkpoints/1");
  EXPECT_EQ(save.state(), v1::Checkpoint::STATE_SAVING);
  EXPECT_EQ(save.policy_states_size(), 0) << "left out, as in lists";

  const auto decision = trainer.NextDecision();
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->seq(), 0u);
  ASSERT_THAT(decision->saves(), SizeIs(1));
  EXPECT_EQ(decision->saves(0).name(), save.name());
  EXPECT_THAT(List(), SizeIs(0));

  SaveRun another(*catalog_);
  EXPECT_EQ(another.Read().name(), save.name()) << "one save is under way, and enough";
  ASSERT_TRUE(UploadAll(save.name(), "weights").ok());
  for (SaveRun* waiting : {&call, &another}) {
    const v1::Checkpoint committed = waiting->Read();
    EXPECT_EQ(committed.name(), save.name());
    EXPECT_EQ(committed.state(), v1::Checkpoint::STATE_COMMITTED);
    EXPECT_EQ(committed.placements(0).filepath(), "on-demand/1.ckpt");
    EXPECT_TRUE(waiting->Finish().ok());
  }
  EXPECT_EQ(Download(save.name()), "weights");
  SaveRun next(*catalog_);
  EXPECT_EQ(next.Read().name(), "runs/r/checkpoints/2") << "what has ended is no answer";
}

// What a policy has chosen keeps its name, its rank and its file.
TEST_F(SaveWireTest, PoliciesGoOnAsIfNothingHadBeen) {
  Trainer trainer(Channel());
  Connect(trainer);
  const auto best = trainer.Epoch(1, 0, 0.5);
  ASSERT_TRUE(best && best->saves_size() == 1);
  ASSERT_TRUE(UploadAll(best->saves(0).name(), "best").ok());
  SaveRun call(*catalog_);
  ASSERT_TRUE(UploadAll(call.Read().name(), "asked for").ok());
  ASSERT_EQ(call.Read().state(), v1::Checkpoint::STATE_COMMITTED);
  EXPECT_EQ(Download("runs/r/checkpoints/best"), "best");
  EXPECT_EQ(Download("runs/r/checkpoints/latest"), "asked for");
  EXPECT_THAT(List(), SizeIs(2));
  EXPECT_EQ(trainer.NextDecision()->seq(), 0u);
  EXPECT_EQ(trainer.Epoch(2, 1, 0.6)->saves_size(), 0) << "0.5 is still to be beaten";
}

TEST_F(SaveWireTest, WithoutATrainerThereIsNoSave) {
  SaveRun unknown(*catalog_);
  EXPECT_EQ(ReasonOf(unknown.Finish()), "RUN_NOT_FOUND");
  SaveRun invalid(*catalog_, "r");
  EXPECT_EQ(ReasonOf(invalid.Finish()), "NAME_INVALID");
  {
    Trainer trainer(Channel());
    Connect(trainer);
    v1::Event end;
    end.set_seq(1);
    end.set_kind(v1::Event::KIND_TRAIN_END);
    end.set_wants_decision(true);
    trainer.Send(Events({end}));
    ASSERT_TRUE(trainer.NextDecision());
    SaveRun ended(*catalog_);
    EXPECT_EQ(ReasonOf(ended.Finish()), "NO_TRAINER") << "it is connected, and does not train";
    EXPECT_TRUE(trainer.Finish().ok());
  }
  SaveRun gone(*catalog_);
  const grpc::Status status = gone.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ReasonOf(status), "NO_TRAINER");
  EXPECT_EQ(MetadataOf(status, "run"), "r");
  Trainer resumed(Channel());
  Connect(resumed);
  SaveRun again(*catalog_);
  EXPECT_EQ(again.Read().state(), v1::Checkpoint::STATE_SAVING) << "a new one trains again";
}

TEST_F(SaveWireTest, TheCallerHearsWhyThereWillBeNone) {
  Trainer trainer(Channel());
  Connect(trainer);
  SaveRun given_up(*catalog_);
  v1::TrainRequest request;
  request.mutable_abandon()->set_save(given_up.Read().name());
  request.mutable_abandon()->set_message("out of memory");
  trainer.Send(request);
  grpc::Status status = given_up.Finish();
  EXPECT_EQ(ReasonOf(status), "SAVE_ABANDONED");
  EXPECT_THAT(status.error_message(), testing::HasSubstr("out of memory"));

  SaveRun fenced(*catalog_);
  EXPECT_NE(fenced.Read().name(), "");
  Trainer successor(Channel());
  Connect(successor);
  EXPECT_EQ(ReasonOf(fenced.Finish()), "SAVE_ABANDONED");

  SaveRun drained(*catalog_);
  EXPECT_NE(drained.Read().name(), "");
  daemon_.process().Signal(SIGTERM);
  status = drained.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(status), "DRAINING");
}

// Nobody may have heard of a save but the index: it is among what the next stream owes.
TEST_F(SaveWireTest, ItSurvivesTheDaemonAndTheCaller) {
  std::optional<v1::Welcome> welcome;
  {
    Trainer trainer(Channel());
    v1::Hello hello;
    *hello.add_policies() = BestPolicy();
    welcome = trainer.Hello(hello);
    ASSERT_TRUE(welcome);
    SaveRun call(*catalog_);
    ASSERT_EQ(call.Read().name(), "runs/r/checkpoints/1");
    call.Cancel();
    EXPECT_FALSE(call.Finish().ok());
    daemon_.Kill();
  }
  ASSERT_TRUE(daemon_.Start());
  Trainer again(Channel());
  v1::Hello hello;
  hello.set_writer_epoch(welcome->writer_epoch());
  const auto welcome_back = again.Hello(hello);
  ASSERT_TRUE(welcome_back);
  ASSERT_THAT(welcome_back->open_saves(), SizeIs(1));
  EXPECT_EQ(welcome_back->open_saves(0).seq(), 0u);
  SaveRun joined(*catalog_);
  EXPECT_EQ(joined.Read().name(), "runs/r/checkpoints/1");
  ASSERT_TRUE(UploadAll("runs/r/checkpoints/1", "weights").ok());
  EXPECT_EQ(joined.Read().state(), v1::Checkpoint::STATE_COMMITTED);
}

}  // namespace
}  // namespace ckpt::wire
