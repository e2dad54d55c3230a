#include "server/local/local_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <filesystem>
#include <memory>
#include <string>

#include "server_rig.h"
#include "storage/base/errors.h"
#include "tests/wire/local_peer.h"

namespace ckpt::server {
namespace {

using ckpt::ReasonOf;
using wire::LocalPeer;
using wire::ReasonOf;

class LocalServerTest : public testing::Test {
 protected:
  LocalServerTest() {
    config_.set_socket(rig_ / "local.sock");
    config_.set_max_slots(4);
    config_.set_max_trainer_mib(16);
    config_.set_max_total_mib(32);
    config_.set_max_connections(2);
  }
  ~LocalServerTest() override { rig_.executors().Stop(); }

  std::unique_ptr<LocalServer> Start() {
    auto server = LocalServer::Start(config_, rig_.context());
    EXPECT_TRUE(server.ok()) << server.status();
    return server.ok() ? *std::move(server) : nullptr;
  }
  v1::ErrorReason WhyNot() const {
    return ReasonOf(LocalServer::Start(config_, rig_.context()).status());
  }
  mode_t Mode() const {
    struct stat info {};
    EXPECT_EQ(stat(config_.socket().c_str(), &info), 0);
    return info.st_mode & 0777;
  }

  ServerRig rig_;
  v1::LocalConfig config_;
};

TEST_F(LocalServerTest, LetsInWhoKnowsTheToken) {
  const auto server = Start();
  EXPECT_EQ(server->token().size(), 16u);
  EXPECT_EQ(Mode(), 0600u);
  LocalPeer peer(config_.socket());
  EXPECT_TRUE(peer.Hello(server->token()));
  LocalPeer stranger(config_.socket());
  EXPECT_FALSE(stranger.Hello("a token of another daemon"));
}

TEST_F(LocalServerTest, OthersReachTheSocketOnlyIfSomeMayConnect) {
  config_.add_allow_uids(12345);
  const auto server = Start();
  EXPECT_EQ(Mode(), 0666u);
}

TEST_F(LocalServerTest, EveryStartHasATokenOfItsOwn) {
  const std::string first = Start()->token();
  EXPECT_NE(Start()->token(), first);
}

TEST_F(LocalServerTest, ASocketThatNobodyAnswersAtIsReplacedAndRemovedAtTheEnd) {
  {
    // Bound and never listened at: as a daemon that was killed leaves it.
    const UniqueFd left(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
    config_.socket().copy(name.sun_path, sizeof name.sun_path - 1);
    ASSERT_EQ(bind(left.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  }
  {
    const auto server = Start();
    LocalPeer peer(config_.socket());
    EXPECT_TRUE(peer.Hello(server->token()));
  }
  EXPECT_FALSE(std::filesystem::exists(config_.socket()));
}

TEST_F(LocalServerTest, NothingElseIsReplaced) {
  storage::WriteFile(config_.socket(), "a file");
  EXPECT_EQ(WhyNot(), v1::ERROR_REASON_FIELD_INVALID);
  EXPECT_EQ(storage::ReadFile(config_.socket()), "a file");
  std::filesystem::remove(config_.socket());
  const auto server = Start();
  EXPECT_EQ(WhyNot(), v1::ERROR_REASON_FIELD_INVALID) << "the first one listens there";
  LocalPeer peer(config_.socket());
  EXPECT_TRUE(peer.Hello(server->token())) << "still";
}

TEST_F(LocalServerTest, APlaceThatCannotBeIsSaid) {
  config_.set_socket(rig_ / std::string(200, 'x'));
  EXPECT_EQ(WhyNot(), v1::ERROR_REASON_FIELD_INVALID);
  config_.set_socket(rig_ / "no/such/folder");
  EXPECT_EQ(WhyNot(), v1::ERROR_REASON_FIELD_INVALID);
}

TEST_F(LocalServerTest, OneConnectionTooManyIsToldSo) {
  const auto server = Start();
  LocalPeer first(config_.socket());
  ASSERT_TRUE(first.Hello(server->token()));
  {
    LocalPeer second(config_.socket());
    ASSERT_TRUE(second.Hello(server->token()));
    LocalPeer third(config_.socket());
    EXPECT_EQ(ReasonOf(third.Read()), "LIMIT_EXCEEDED");
    EXPECT_EQ(ReasonOf(third.Read()), "closed");
  }
  // Room again, as soon as the server has seen the second go.
  bool again = false;
  while (!again) again = LocalPeer(config_.socket()).Hello(server->token());
}

TEST_F(LocalServerTest, TakesNothingMoreOnceItStops) {
  const auto server = Start();
  LocalPeer peer(config_.socket());
  ASSERT_TRUE(peer.Hello(server->token()));
  server->StopTaking();
  server->StopTaking();
  EXPECT_EQ(ReasonOf(peer.Ask({})), "closed");
  EXPECT_FALSE(LocalPeer(config_.socket()).connected());
}

}  // namespace
}  // namespace ckpt::server
