#include "server/local/local_connection.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "server/local/local_server.h"
#include "server_rig.h"
#include "storage/base/errors.h"
#include "tests/wire/local_peer.h"

namespace ckpt::server {
namespace {

using wire::EncodeFrame;
using wire::LocalPeer;
using wire::PeerSlot;
using wire::ReasonOf;

constexpr int64_t kMiB = 1 << 20;

class LocalConnectionTest : public testing::Test {
 protected:
  LocalConnectionTest() {
    v1::LocalConfig config;
    config.set_socket(rig_ / "local.sock");
    config.set_max_slots(3);
    config.set_max_trainer_mib(4);
    config.set_max_total_mib(6);
    config.set_max_connections(10);
    server_ = LocalServer::Start(config, rig_.context()).value();
    path_ = config.socket();
  }
  ~LocalConnectionTest() override {
    server_->StopTaking();
    rig_.executors().Stop();
  }

  std::unique_ptr<LocalPeer> Peer() const {
    auto peer = std::make_unique<LocalPeer>(path_);
    EXPECT_TRUE(peer->Hello(server_->token()));
    return peer;
  }
  static v1::LocalRequest Stage(const std::string& id, int64_t size) {
    v1::LocalRequest request;
    v1::UploadStart& start = *request.mutable_submit()->mutable_start();
    start.mutable_staged()->set_run("runs/r");
    start.mutable_staged()->set_stage_id(id);
    start.set_size(size);
    return request;
  }
  static v1::LocalRequest FromSlot(const std::string& id, uint32_t slot, int64_t size,
                                   uint64_t generation) {
    v1::LocalRequest request = Stage(id, size);
    request.mutable_submit()->set_slot(slot);
    request.mutable_submit()->set_generation(generation);
    return request;
  }
  static v1::LocalRequest Release(uint32_t slot) {
    v1::LocalRequest request;
    request.mutable_release_slot()->set_slot(slot);
    return request;
  }
  static UniqueFd File(int64_t size) {
    UniqueFd file(memfd_create("file", MFD_CLOEXEC));
    EXPECT_EQ(ftruncate(file.get(), size), 0);
    return file;
  }
  // Asks on until nothing is held: what a peer held is let go soon after it has gone.
  void ExpectEverythingLetGo() const {
    const auto peer = Peer();
    while (server_->slot_memory().grants() > 0) peer->Ask(Release(1));
    EXPECT_EQ(server_->slot_memory().taken(), 0);
  }

  ServerRig rig_;
  std::string path_;
  std::unique_ptr<LocalServer> server_;
};

TEST(CheckUserTest, TheDaemonsRootAndWhoIsAllowed) {
  v1::LocalConfig config;
  config.add_allow_uids(7);
  config.add_allow_uids(8);
  for (const uint32_t user : {0, 5, 7, 8}) EXPECT_TRUE(CheckUser(user, 5, config).ok()) << user;
  for (const uint32_t user : {1, 6, 9}) {
    EXPECT_TRUE(absl::IsPermissionDenied(CheckUser(user, 5, config))) << user;
  }
}

TEST_F(LocalConnectionTest, SlotsAreBounded) {
  const auto peer = Peer();
  std::vector<std::unique_ptr<PeerSlot>> slots;
  for (uint32_t i = 1; i <= 4; ++i) {
    slots.push_back(std::make_unique<PeerSlot>(100));
    EXPECT_EQ(ReasonOf(peer->Register(i, *slots.back())), i <= 3 ? "" : "LIMIT_EXCEEDED");
  }
  ASSERT_EQ(ReasonOf(peer->Ask(Release(2))), "");
  EXPECT_EQ(ReasonOf(peer->Register(4, *slots.back())), "");
  EXPECT_EQ(server_->slot_memory().grants(), 3);
}

TEST_F(LocalConnectionTest, BytesOfOneTrainerAndOfAllAreBounded) {
  const PeerSlot large(3 * kMiB);
  const PeerSlot small(kMiB);
  const auto first = Peer();
  EXPECT_EQ(ReasonOf(first->Register(1, large)), "");
  EXPECT_EQ(ReasonOf(first->Register(2, small)), "LIMIT_EXCEEDED") << "with the headers";
  const auto second = Peer();
  EXPECT_EQ(ReasonOf(second->Register(1, large)), "LIMIT_EXCEEDED") << "of all";
  EXPECT_EQ(ReasonOf(second->Register(1, small)), "");
}

TEST_F(LocalConnectionTest, AFileCountsAsASlotUntilItIsAnswered) {
  const auto peer = Peer();
  v1::LocalRequest request = Stage("s", 4 * kMiB + 1);
  request.mutable_submit()->mutable_file();
  EXPECT_EQ(ReasonOf(peer->Ask(request, File(4 * kMiB + 1).get())), "LIMIT_EXCEEDED");
  for (int i = 0; i < 4; ++i) {  // one after the other they fit
    request = Stage("s" + std::to_string(i), 4 * kMiB);
    request.mutable_submit()->mutable_file();
    EXPECT_EQ(ReasonOf(peer->Ask(request, File(4 * kMiB).get())), "");
  }
  ExpectEverythingLetGo();
}

TEST_F(LocalConnectionTest, ASlotIsBusyUntilItsPartIsAnswered) {
  const auto peer = Peer();
  PeerSlot slot(kMiB);
  ASSERT_EQ(ReasonOf(peer->Register(1, slot)), "");
  const uint64_t generation = slot.Write("abc");
  // All disk threads wait: nothing is stored meanwhile.
  std::promise<void> gate;
  const auto opened = gate.get_future().share();
  for (int i = 0; i < 2; ++i) rig_.executors().PostDisk([opened] { opened.wait(); });
  v1::LocalRequest submit = FromSlot("s", 1, 3, generation);
  submit.set_id(100);
  ASSERT_TRUE(peer->Send(submit));
  EXPECT_EQ(ReasonOf(peer->Ask(FromSlot("t", 1, 3, generation))), "FIELD_INVALID");
  EXPECT_EQ(ReasonOf(peer->Ask(Release(1))), "FIELD_INVALID");
  gate.set_value();
  const auto stored = peer->Read();
  ASSERT_EQ(ReasonOf(stored), "");
  EXPECT_EQ(stored->id(), 100u);
  EXPECT_EQ(ReasonOf(peer->Ask(Release(1))), "");
}

TEST_F(LocalConnectionTest, APeerThatGoesInTheMiddleLeavesNothing) {
  PeerSlot slot(kMiB);
  v1::LocalRequest registration;
  registration.mutable_register_slot()->set_slot(2);
  registration.mutable_register_slot()->set_size(kMiB);
  const std::string frame = EncodeFrame(registration);
  for (size_t cut = 0; cut <= frame.size(); ++cut) {
    const auto peer = Peer();
    ASSERT_EQ(ReasonOf(peer->Register(1, slot)), "");
    ASSERT_TRUE(cut == 0 || peer->SendBytes(frame.substr(0, cut), slot.fd()));
  }
  ExpectEverythingLetGo();
}

TEST_F(LocalConnectionTest, WhatWasSubmittedIsStoredAfterItsPeerHasGone) {
  std::promise<void> gate;
  const auto opened = gate.get_future().share();
  for (int i = 0; i < 2; ++i) rig_.executors().PostDisk([opened] { opened.wait(); });
  {
    const auto peer = Peer();
    PeerSlot slot(kMiB);
    ASSERT_EQ(ReasonOf(peer->Register(1, slot)), "");
    ASSERT_TRUE(peer->Send(FromSlot("s", 1, 3, slot.Write("abc"))));
    ASSERT_EQ(ReasonOf(peer->Ask(Release(9))), "FIELD_INVALID");  // it has been read
  }
  gate.set_value();
  ExpectEverythingLetGo();
  storage::PartTarget target;
  target.run = "r";
  target.stage_id = "s";
  const auto writer = rig_.store().OpenPart(target);
  ASSERT_TRUE(writer.ok()) << writer.status();
  EXPECT_TRUE((*writer)->finished().has_value());
}

TEST_F(LocalConnectionTest, DescriptorsKeepToTheirFrames) {
  const auto peer = Peer();
  const PeerSlot first(100);
  const PeerSlot second(200);
  v1::LocalRequest registration;
  registration.set_id(1);
  registration.mutable_register_slot()->set_slot(1);
  registration.mutable_register_slot()->set_size(100);
  const std::string one = EncodeFrame(registration);
  registration.set_id(2);
  registration.mutable_register_slot()->set_slot(2);
  registration.mutable_register_slot()->set_size(200);
  const std::string two = EncodeFrame(registration);
  // The first comes in pieces, and the second is there when its end is read.
  ASSERT_TRUE(peer->SendBytes(one.substr(0, 2), first.fd()));
  ASSERT_TRUE(peer->SendBytes(one.substr(2)));
  ASSERT_TRUE(peer->SendBytes(two, second.fd()));
  EXPECT_EQ(ReasonOf(peer->Read()), "");
  EXPECT_EQ(ReasonOf(peer->Read()), "");
  EXPECT_EQ(server_->slot_memory().taken(), 2 * kSlotHeaderBytes + 300);
}

}  // namespace
}  // namespace ckpt::server
