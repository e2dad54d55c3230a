#include "client/cpp/src/hand_over.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>

#include "tests/unit/client/support/fake_daemon.h"
#include "tests/unit/client/support/fake_local_socket.h"
#include "tests/unit/client/support/temp_folder.h"

namespace ckpt::client {
namespace {

using ckpt::testing::FakeDaemon;
using ckpt::testing::FakeLocalSocket;
using ckpt::testing::TempFolder;
using ::testing::SizeIs;

constexpr char kSave[] = "runs/run/checkpoints/1";

class HandOverTest : public ::testing::Test {
 protected:
  HandOverTest() {
    daemon_.With([](FakeDaemon& daemon) {
      daemon.open_saves[kSave].set_name(kSave);
      return 0;
    });
  }
  void Welcome() {
    v1::Welcome welcome;
    welcome.set_local_socket(path_);
    welcome.set_local_token("token");
    hand_over_.OnWelcome(welcome);
  }
  static v1::UploadStart Target() {
    v1::UploadStart target;
    target.set_save(kSave);
    return target;
  }

  const TempFolder folder_;
  const std::string path_ = folder_.File("local.sock");
  FakeDaemon daemon_;
  HandOver hand_over_{grpc::CreateChannel(daemon_.address(), grpc::InsecureChannelCredentials()),
                      daemon_.address(),
                      {.snapshots = 1}};
};

TEST_F(HandOverTest, BorrowedBytesMayChangeAtOnceByGrpc) {
  std::string bytes = "content";
  const auto senders = hand_over_.Take(Target(), {PartBytes::Borrow("weights", bytes)});
  bytes = "changed";
  ASSERT_THAT(senders, SizeIs(1));
  ASSERT_TRUE(senders[0]->Attempt().ok());
  EXPECT_EQ(daemon_.contents[kSave]["weights"], "content");
}

TEST_F(HandOverTest, OwnedBytesAreNotCopiedByGrpcAndHeldAsLongAsTheyAreNeeded) {
  PartBytes part = PartBytes::Own("weights", "content");
  const std::weak_ptr<const void> watched = part.owner;
  auto senders = hand_over_.Take(Target(), {std::move(part)});
  EXPECT_FALSE(watched.expired());
  senders.clear();
  EXPECT_TRUE(watched.expired());
}

TEST_F(HandOverTest, WithASocketOwnedBytesAreLetGoAtOnce) {
  FakeLocalSocket local(path_, "token");
  Welcome();
  PartBytes part = PartBytes::Own("weights", "content");
  const std::weak_ptr<const void> watched = part.owner;
  const auto senders =
      hand_over_.Take(Target(), {std::move(part), PartBytes::Own("optimizer", "state")});
  EXPECT_TRUE(watched.expired());
  auto submitted = local.AwaitSubmits(2);
  EXPECT_EQ(submitted["weights"], "content");
  EXPECT_EQ(submitted["optimizer"], "state");
  for (const auto& sender : senders) EXPECT_TRUE(sender->Attempt().ok());
  EXPECT_EQ(daemon_.uploads, 0);
}

TEST_F(HandOverTest, WhileEverySlotIsUsedItGoesByGrpc) {
  FakeLocalSocket local(path_, "token");
  Welcome();
  const auto first = hand_over_.Take(Target(), {PartBytes::Own("weights", "first")});
  const auto second = hand_over_.Take(Target(), {PartBytes::Own("weights", "second")});
  ASSERT_TRUE(second[0]->Attempt().ok());
  EXPECT_EQ(daemon_.contents[kSave]["weights"], "second");
  EXPECT_EQ(local.AwaitSubmits(1)["weights"], "first");
}

TEST_F(HandOverTest, WhatIsSharedWaitsForASocketInItsSlot) {
  const auto senders = hand_over_.Share(Target(), {PartBytes::Own("weights", "content")});
  EXPECT_TRUE(absl::IsUnavailable(senders[0]->Attempt().status()));
  FakeLocalSocket local(path_, "token");
  Welcome();
  EXPECT_TRUE(senders[0]->Attempt().ok());
  EXPECT_EQ(local.AwaitSubmits(1)["weights"], "content");
  EXPECT_EQ(daemon_.uploads, 0);
}

}  // namespace
}  // namespace ckpt::client
