// Snapshots in memory (StorageOptions.PLACEMENT_MEMORY), as any trainer may hand them over.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "local_peer.h"
#include "wire.h"

namespace ckpt::wire {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr int64_t kSlotBytes = 64;

v1::CheckpointPolicy InMemory(int snapshots, const std::string& name = "rescue") {
  v1::CheckpointPolicy policy;
  policy.set_name(name);
  policy.set_filepath(name + "-{epoch:02d}");
  policy.mutable_options()->set_placement(v1::StorageOptions::PLACEMENT_MEMORY);
  policy.mutable_options()->set_snapshots(snapshots);
  return policy;
}

class SnapshotWireTest : public WireTest {
 protected:
  v1::Hello Hello(int snapshots) {
    v1::Hello hello;
    *hello.add_policies() = InMemory(snapshots);
    hello.set_holds_snapshots(true);
    return hello;
  }
  void Connect(const v1::Hello& hello) {
    trainer_ = std::make_unique<Trainer>(Channel());
    const auto welcome = trainer_->Hello(hello);
    ASSERT_TRUE(welcome);
    peer_ = std::make_unique<LocalPeer>(welcome->local_socket());
    ASSERT_TRUE(peer_->Hello(welcome->local_token()));
    slots_.clear();
  }
  PeerSlot& Slot(uint32_t number) {
    auto& slot = slots_[number];
    if (slot == nullptr) {
      slot = std::make_unique<PeerSlot>(kSlotBytes);
      EXPECT_EQ(ReasonOf(peer_->Register(number, *slot)), "");
    }
    return *slot;
  }
  // The save that the next epoch decides on.
  std::string Decide() {
    ++seq_;
    const auto decision = trainer_->Epoch(seq_, static_cast<int64_t>(seq_) - 1, 1.0);
    EXPECT_TRUE(decision && decision->saves_size() == 1);
    return decision && decision->saves_size() == 1 ? decision->saves(0).name() : "";
  }
  v1::LocalRequest Submit(const std::string& save, uint32_t slot, const std::string& content) {
    v1::LocalRequest request;
    v1::SubmitPart& submit = *request.mutable_submit();
    *submit.mutable_start() = ForSave(save);
    submit.mutable_start()->set_size(static_cast<int64_t>(content.size()));
    submit.set_slot(slot);
    submit.set_generation(Slot(slot).Write(content));
    return request;
  }
  // A snapshot in slot `slot`, complete. Gives its save.
  std::string Snapshot(uint32_t slot, const std::string& content) {
    const std::string save = Decide();
    const auto held = peer_->Ask(Submit(save, slot, content));
    EXPECT_EQ(ReasonOf(held), "");
    EXPECT_EQ(held->stored().checkpoint().state(), v1::Checkpoint::STATE_SAVING);
    return save;
  }
  // The outcome of the next save that ends while a new trainer has the run.
  v1::SaveOutcome OutcomeForASuccessor() {
    Trainer successor(Channel());
    v1::Hello hello = Hello(1);
    EXPECT_TRUE(successor.Hello(hello));
    return successor.NextOutcome().value_or(v1::SaveOutcome());
  }
  int64_t Held() {
    grpc::ClientContext context;
    v1::Status status;
    EXPECT_TRUE(v1::AdminService::NewStub(Channel())->GetStatus(&context, {}, &status).ok());
    return status.snapshots();
  }
  void Lose() {
    peer_.reset();
    trainer_.reset();
  }

  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<LocalPeer> peer_;
  std::map<uint32_t, std::unique_ptr<PeerSlot>> slots_;
  uint64_t seq_ = 0;
};

TEST_F(SnapshotWireTest, TheNewestAreKeptAndNoneIsACheckpoint) {
  Connect(Hello(2));
  const std::string first = Snapshot(1, "one");
  Snapshot(2, "two");
  EXPECT_EQ(Held(), 2);
  Snapshot(3, "three");
  const auto outcome = trainer_->NextOutcome();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->save(), first);
  EXPECT_EQ(outcome->reason(), v1::ERROR_REASON_SNAPSHOT_DROPPED);
  EXPECT_EQ(Held(), 2);
  EXPECT_THAT(List(), IsEmpty());
}

TEST_F(SnapshotWireTest, TheLastCompleteOneIsPersistedWhenTheTrainerIsLost) {
  Connect(Hello(2));
  Snapshot(1, "one");
  const std::string last = Snapshot(2, "two");
  Decide();
  Slot(3).SetGeneration(5);  // it dies amid the copy of the third
  Lose();
  const v1::SaveOutcome outcome = OutcomeForASuccessor();
  EXPECT_EQ(outcome.save(), last);
  ASSERT_TRUE(outcome.has_checkpoint()) << outcome.message();
  ASSERT_THAT(List(), SizeIs(1));
  EXPECT_EQ(List()[0].parts(0).xxh3_128(), DigestOf("two"));
  EXPECT_EQ(List()[0].placements(0).filepath(), "rescue-02");
  EXPECT_EQ(Download(last), "two");
  EXPECT_EQ(Held(), 0);
}

TEST_F(SnapshotWireTest, ATornOneIsPassedOverForTheOneBefore) {
  Connect(Hello(2));
  const std::string before = Snapshot(1, "one");
  const std::string torn = Snapshot(2, "two");
  Slot(2).SetGeneration(7);  // written again, against the rules
  Lose();
  {
    Trainer successor(Channel());
    ASSERT_TRUE(successor.Hello(Hello(1)));
    v1::SaveOutcome outcome = successor.NextOutcome().value_or(v1::SaveOutcome());
    while (!outcome.has_checkpoint() && !outcome.save().empty()) {
      EXPECT_EQ(outcome.save(), torn);
      outcome = successor.NextOutcome().value_or(v1::SaveOutcome());
    }
    EXPECT_EQ(outcome.save(), before);
  }
  ASSERT_THAT(List(), SizeIs(1));
  EXPECT_EQ(Download(before), "one");
}

TEST_F(SnapshotWireTest, AtTheEndOfTrainingTheyAreDropped) {
  Connect(Hello(1));
  const std::string save = Snapshot(1, "one");
  v1::Event end;
  end.set_seq(++seq_);
  end.set_kind(v1::Event::KIND_TRAIN_END);
  trainer_->Send(Events({end}));
  EXPECT_TRUE(trainer_->Finish().ok());
  Lose();
  ASSERT_EQ(daemon_.Stop(), 0);
  ASSERT_TRUE(daemon_.Start());
  EXPECT_THAT(List(), IsEmpty());
}

TEST_F(SnapshotWireTest, ADaemonThatIsToldToStopPersistsTheLastOne) {
  Connect(Hello(1));
  Snapshot(1, "one");
  const std::string last = Snapshot(2, "two");
  ASSERT_EQ(daemon_.Stop(), 0);
  ASSERT_TRUE(daemon_.Start());
  ASSERT_THAT(List(), SizeIs(1));
  EXPECT_EQ(Download(last), "two");
}

// Snapshots die with the daemon; the trainer hands them over again to the next one.
TEST_F(SnapshotWireTest, AfterAKillOfTheDaemonTheyAreOwedAgain) {
  Connect(Hello(1));
  const std::string save = Snapshot(1, "one");
  daemon_.Kill();
  Lose();
  ASSERT_TRUE(daemon_.Start());
  EXPECT_THAT(List(), IsEmpty());
  v1::Hello again = Hello(1);
  again.set_writer_epoch(1);
  trainer_ = std::make_unique<Trainer>(Channel());
  const auto welcome = trainer_->Hello(again);
  ASSERT_TRUE(welcome);
  ASSERT_THAT(welcome->open_saves(), SizeIs(1));
  EXPECT_EQ(welcome->open_saves(0).name(), save);
  peer_ = std::make_unique<LocalPeer>(welcome->local_socket());
  ASSERT_TRUE(peer_->Hello(welcome->local_token()));
  slots_.clear();
  ASSERT_EQ(ReasonOf(peer_->Ask(Submit(save, 1, "one"))), "");
  Lose();
  EXPECT_EQ(OutcomeForASuccessor().save(), save);
  EXPECT_EQ(Download(save), "one");
}

TEST_F(SnapshotWireTest, SaveRunPersistsTheNewestWithTheTrainerAtWork) {
  Connect(Hello(2));
  Snapshot(1, "one");
  const std::string newest = Snapshot(2, "two");
  grpc::ClientContext context;
  v1::SaveRunRequest request;
  request.set_name("runs/r");
  const auto call = catalog_->SaveRun(&context, request);
  std::vector<v1::Checkpoint::State> states;
  v1::SaveRunResponse response;
  while (call->Read(&response)) {
    EXPECT_EQ(response.checkpoint().name(), newest);
    states.push_back(response.checkpoint().state());
  }
  EXPECT_TRUE(call->Finish().ok());
  EXPECT_THAT(states, ElementsAre(v1::Checkpoint::STATE_SAVING, v1::Checkpoint::STATE_COMMITTED));
  EXPECT_EQ(Download(newest), "two");
  EXPECT_EQ(Held(), 1) << "the one before it may be needed yet";
}

TEST_F(SnapshotWireTest, WithoutSharedMemoryItIsRefused) {
  v1::Hello hello = Hello(1);
  hello.set_holds_snapshots(false);
  Trainer old(Channel());
  EXPECT_FALSE(old.Hello(hello));
  EXPECT_EQ(ReasonOf(old.Finish()), "SHARED_MEMORY_REQUIRED");

  Connect(Hello(1));
  const std::string save = Decide();
  EXPECT_EQ(ReasonOf(UploadAll(save, "weights")), "SHARED_MEMORY_REQUIRED");
  UniqueFd file(memfd_create("file", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(file.get(), 3), 0);
  v1::LocalRequest request;
  *request.mutable_submit()->mutable_start() = ForSave(save);
  request.mutable_submit()->mutable_start()->set_size(3);
  request.mutable_submit()->mutable_file();
  EXPECT_EQ(ReasonOf(peer_->Ask(request, file.get())), "SHARED_MEMORY_REQUIRED");
}

}  // namespace
}  // namespace ckpt::wire
