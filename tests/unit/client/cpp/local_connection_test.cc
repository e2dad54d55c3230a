#include "client/cpp/src/local_connection.h"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>

#include "tests/unit/client/support/fake_local_socket.h"
#include "tests/unit/client/support/temp_folder.h"

namespace ckpt::client {
namespace {

using ckpt::testing::FakeLocalSocket;
using ckpt::testing::TempFolder;

constexpr char kToken[] = "token";

v1::LocalRequest Release(uint32_t slot) {
  v1::LocalRequest request;
  request.mutable_release_slot()->set_slot(slot);
  return request;
}

class LocalConnectionTest : public ::testing::Test {
 protected:
  std::unique_ptr<LocalConnection> Open(const std::string& token = kToken) {
    auto connection = LocalConnection::Open(path_, token);
    EXPECT_TRUE(connection.ok()) << connection.status();
    return connection.ok() ? *std::move(connection) : nullptr;
  }

  const TempFolder folder_;
  const std::string path_ = folder_.File("local.sock");
};

TEST_F(LocalConnectionTest, NobodyListens) {
  EXPECT_TRUE(absl::IsUnavailable(LocalConnection::Open(path_, kToken).status()));
  EXPECT_TRUE(absl::IsUnavailable(LocalConnection::Open(std::string(200, 'x'), kToken).status()));
}

TEST_F(LocalConnectionTest, SaysHelloFirst) {
  FakeLocalSocket daemon(path_, kToken);
  const auto connection = Open();
  EXPECT_TRUE(connection->Await(connection->Send(Release(1), -1, nullptr)).has_value());
  const auto requests = daemon.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].hello().token(), kToken);
  EXPECT_THAT(requests[0].hello().client(), ::testing::HasSubstr("ckpt-cpp"));
}

TEST_F(LocalConnectionTest, AnotherDaemonsTokenEndsIt) {
  FakeLocalSocket daemon(path_, "another");
  const auto connection = Open();
  EXPECT_FALSE(connection->Await(connection->Send(Release(1), -1, nullptr)).has_value());
  EXPECT_TRUE(absl::IsPermissionDenied(connection->ended())) << connection->ended();
}

TEST_F(LocalConnectionTest, AnswersMayComeInAnotherOrder) {
  FakeLocalSocket daemon(path_, kToken, [](const v1::LocalRequest& request) {
    return request.has_release_slot() ? std::nullopt : FakeLocalSocket::Stored(request);
  });
  const auto connection = Open();
  const uint64_t first = connection->Send(Release(1), -1, nullptr);
  const uint64_t second = connection->Send(Release(2), -1, nullptr);
  v1::LocalResponse response;
  response.mutable_slot_released();
  for (const uint64_t id : {second, first}) {
    response.set_id(id);
    daemon.Send(response);
    const auto answer = connection->Await(id);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->id(), id);
  }
}

TEST_F(LocalConnectionTest, WhatIsHeldIsLetGoWithTheAnswer) {
  FakeLocalSocket daemon(path_, kToken, [](const v1::LocalRequest& request) {
    return request.has_release_slot() ? std::nullopt : FakeLocalSocket::Stored(request);
  });
  const auto connection = Open();
  auto held = std::make_shared<const int>(1);
  const std::weak_ptr<const int> watched = held;
  const uint64_t cancelled = connection->Send(Release(1), -1, std::move(held));
  connection->Cancel(cancelled);
  EXPECT_FALSE(connection->Await(cancelled).has_value());
  EXPECT_FALSE(watched.expired()) << "the daemon may still read the slot";
  const uint64_t next = connection->Send(Release(2), -1, nullptr);
  v1::LocalResponse response;
  response.mutable_slot_released();
  for (const uint64_t id : {cancelled, next}) {
    response.set_id(id);
    daemon.Send(response);
  }
  EXPECT_TRUE(connection->Await(next).has_value());
  EXPECT_TRUE(watched.expired());
}

TEST_F(LocalConnectionTest, ABreakEndsEveryWait) {
  FakeLocalSocket daemon(path_, kToken, [](const v1::LocalRequest& request) {
    return request.has_release_slot() ? std::nullopt : FakeLocalSocket::Stored(request);
  });
  const auto connection = Open();
  auto held = std::make_shared<const int>(1);
  const std::weak_ptr<const int> watched = held;
  const uint64_t id = connection->Send(Release(1), -1, std::move(held));
  daemon.Break();
  EXPECT_FALSE(connection->Await(id).has_value());
  EXPECT_TRUE(absl::IsUnavailable(connection->ended())) << connection->ended();
  EXPECT_TRUE(watched.expired());
  EXPECT_FALSE(connection->Await(connection->Send(Release(2), -1, nullptr)).has_value());
}

TEST_F(LocalConnectionTest, WhatIsHeldIsLetGoBeforeAwaitReturns) {
  FakeLocalSocket daemon(path_, kToken, [](const v1::LocalRequest& request) {
    return request.has_release_slot() ? std::nullopt : FakeLocalSocket::Stored(request);
  });
  const auto connection = Open();
  const std::function<void(uint64_t)> answer = [&](uint64_t id) {
    v1::LocalResponse response;
    response.set_id(id);
    response.mutable_slot_released();
    daemon.Send(response);
  };
  const std::function<void(uint64_t)> end = [&](uint64_t) { daemon.Break(); };
  for (const auto& finish : {answer, end}) {
    const auto let_go = std::make_shared<std::atomic<bool>>(false);
    // Slow, so that who does not wait for it comes first.
    const auto slowly = [let_go](const void*) {
      std::promise<void>().get_future().wait_for(std::chrono::milliseconds(50));
      *let_go = true;
    };
    const uint64_t id = connection->Send(Release(1), -1, std::shared_ptr<const void>(this, slowly));
    finish(id);
    connection->Await(id);
    EXPECT_TRUE(*let_go);
  }
}

}  // namespace
}  // namespace ckpt::client
