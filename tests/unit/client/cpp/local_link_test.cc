#include "client/cpp/src/local_link.h"

#include <gmock/gmock.h>

#include "storage/base/errors.h"
#include "tests/unit/client/support/fake_local_socket.h"
#include "tests/unit/client/support/temp_folder.h"

namespace ckpt::client {
namespace {

using ckpt::testing::FakeLocalSocket;
using ckpt::testing::TempFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LocalLinkTest : public ::testing::Test {
 protected:
  v1::Welcome Welcome(const std::string& token = "token") {
    v1::Welcome welcome;
    welcome.set_local_socket(path_);
    welcome.set_local_token(token);
    return welcome;
  }
  LocalOptions Options() {
    return {.notify = [this](std::string_view text) { notices_.emplace_back(text); }};
  }

  const TempFolder folder_;
  const std::string path_ = folder_.File("local.sock");
  std::vector<std::string> notices_;
};

TEST_F(LocalLinkTest, ConnectsToTheSocketOfTheWelcome) {
  FakeLocalSocket daemon(path_, "token");
  LocalLink link(Options());
  EXPECT_EQ(link.connection(), nullptr);
  link.OnWelcome(Welcome());
  const auto connection = link.connection();
  ASSERT_NE(connection, nullptr);
  link.OnWelcome(Welcome());
  EXPECT_EQ(link.connection(), connection) << "the stream broke, this did not";
  EXPECT_THAT(notices_, IsEmpty());
}

TEST_F(LocalLinkTest, ADaemonWithoutASocketIsNoReasonToComplain) {
  LocalLink link(Options());
  link.OnWelcome(v1::Welcome());
  EXPECT_EQ(link.connection(), nullptr);
  EXPECT_THAT(notices_, IsEmpty());
}

TEST_F(LocalLinkTest, ASocketThatIsNotThereIsToldOnce) {
  LocalLink link(Options());
  link.OnWelcome(Welcome());
  link.OnWelcome(Welcome());
  EXPECT_EQ(link.connection(), nullptr);
  EXPECT_THAT(notices_, ElementsAre(HasSubstr("local.sock: No such file or directory")));
}

TEST_F(LocalLinkTest, CanBeTurnedOff) {
  FakeLocalSocket daemon(path_, "token");
  LocalOptions options = Options();
  options.enabled = false;
  LocalLink link(options);
  link.OnWelcome(Welcome());
  EXPECT_EQ(link.connection(), nullptr);
  EXPECT_THAT(notices_, IsEmpty());
}

TEST_F(LocalLinkTest, AConnectionThatBrokeIsMadeAgain) {
  FakeLocalSocket daemon(path_, "token");
  LocalLink link(Options());
  link.OnWelcome(Welcome());
  auto connection = link.connection();
  v1::LocalRequest request;
  request.mutable_release_slot();
  ASSERT_TRUE(connection->Await(connection->Send(request, -1, nullptr)));
  daemon.Break();
  EXPECT_FALSE(connection->Await(connection->Send(request, -1, nullptr)));
  const uint64_t broken = connection->serial();
  connection = link.connection();
  ASSERT_NE(connection, nullptr);
  EXPECT_NE(connection->serial(), broken);
  EXPECT_TRUE(connection->Await(connection->Send(request, -1, nullptr)));
}

TEST_F(LocalLinkTest, ADaemonThatRefusesIsNotAskedAgain) {
  FakeLocalSocket daemon(path_, "another");
  LocalLink link(Options());
  link.OnWelcome(Welcome());
  // The refusal may have come already.
  if (const auto connection = link.connection(); connection != nullptr) {
    v1::LocalRequest request;
    request.mutable_release_slot();
    EXPECT_FALSE(connection->Await(connection->Send(request, -1, nullptr)));
  }
  EXPECT_EQ(link.connection(), nullptr);
  link.OnWelcome(Welcome("another"));
  EXPECT_NE(link.connection(), nullptr);
}

TEST_F(LocalLinkTest, ASlotIsRegisteredOnceAndReleasedWhenALargerOneTakesItsPlace) {
  FakeLocalSocket daemon(path_, "token");
  LocalLink link(Options());
  link.OnWelcome(Welcome());
  const auto snapshot = link.TakeSnapshot();
  for (const size_t size : {size_t{10}, size_t{20}, size_t{2 << 20}}) {
    LocalSlot* const slot = link.Fill(*snapshot, 0, std::string(size, 'x'));
    ASSERT_NE(slot, nullptr);
    v1::UploadStart start;
    start.set_save("save");
    start.set_size(static_cast<int64_t>(size));
    LocalSubmission submission(link.connection(), start, *slot, snapshot);
    const auto outcome = submission.Await();
    ASSERT_TRUE(outcome.answer.has_value()) << outcome.lost;
    EXPECT_TRUE(outcome.answer->ok()) << outcome.answer->status();
  }
  std::string kinds;
  for (const v1::LocalRequest& request : daemon.requests()) {
    kinds += "?ihrRs"[request.message_case()];
  }
  EXPECT_EQ(daemon.AwaitSubmits(3)[""], std::string(2 << 20, 'x'));
  EXPECT_EQ(kinds, "hrssRrs") << "hello, register, submit, submit, release, …";
}

TEST_F(LocalLinkTest, MemoryIsTakenBeforehand) {
  FakeLocalSocket daemon(path_, "token");
  LocalOptions options = Options();
  options.reserved = 2;
  options.reserve = 3 << 20;
  LocalLink link(options);
  link.OnWelcome(Welcome());
  const auto snapshot = link.TakeSnapshot();
  EXPECT_GE(link.Fill(*snapshot, 0, "x")->capacity(), size_t{3 << 20});
}

}  // namespace
}  // namespace ckpt::client
