#include "client/cpp/src/local_sender.h"

#include <gmock/gmock.h>

#include <thread>

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

// The way that is left.
class OtherSender final : public PartSender {
 public:
  explicit OtherSender(int& attempts) : attempts_(attempts) {}
  absl::StatusOr<v1::UploadFinished> Attempt() override {
    ++attempts_;
    return absl::UnavailableError("the daemon is gone");
  }
  bool TakeProgress() override { return false; }
  void Cancel() override {}

 private:
  int& attempts_;
};

class LocalSenderTest : public ::testing::Test {
 protected:
  std::unique_ptr<FakeLocalSocket> Daemon(const std::string& token,
                                          FakeLocalSocket::Answer answer = {}) {
    auto daemon = std::make_unique<FakeLocalSocket>(path_, token, std::move(answer));
    Welcome(token);
    return daemon;
  }
  void Welcome(const std::string& token) {
    v1::Welcome welcome;
    welcome.set_local_socket(path_);
    welcome.set_local_token(token);
    link_.OnWelcome(welcome);
  }
  std::unique_ptr<LocalSender> Send(const std::string& content, bool other_way = true) {
    auto snapshot = link_.TakeSnapshot();
    LocalSlot* const slot = link_.Fill(*snapshot, 0, content);
    v1::UploadStart start;
    start.set_save("save");
    start.set_part("weights");
    start.set_size(static_cast<int64_t>(content.size()));
    return std::make_unique<LocalSender>(
        link_, start, std::move(snapshot), *slot,
        other_way ? std::make_unique<OtherSender>(others_) : nullptr);
  }
  static FakeLocalSocket::Answer NoAnswerToSubmits() {
    return [](const v1::LocalRequest& request) {
      return request.has_submit() ? std::nullopt : FakeLocalSocket::Stored(request);
    };
  }

  const TempFolder folder_;
  const std::string path_ = folder_.File("local.sock");
  std::vector<std::string> notices_;
  LocalLink link_{
      LocalOptions{.notify = [this](std::string_view text) { notices_.emplace_back(text); }}};
  int others_ = 0;  // attempts by the other way
};

TEST_F(LocalSenderTest, TheDaemonHasThePartBeforeAnybodyWaitsForIt) {
  const auto daemon = Daemon("token");
  const auto sender = Send("content");
  EXPECT_EQ(daemon->AwaitSubmits(1)["weights"], "content");
  const auto finished = sender->Attempt();
  ASSERT_TRUE(finished.ok()) << finished.status();
  EXPECT_EQ(finished->checkpoint().name(), "save");
  EXPECT_EQ(others_, 0);
}

TEST_F(LocalSenderTest, AnErrorIsThatOfAnUpload) {
  const auto daemon = Daemon("token", [](const v1::LocalRequest& request) {
    return request.has_submit()
               ? FakeLocalSocket::Error(request, SaveNotOpen("save", "it was replaced"))
               : FakeLocalSocket::Stored(request);
  });
  const auto finished = Send("content")->Attempt();
  EXPECT_EQ(ReasonOf(finished.status()), v1::ERROR_REASON_SAVE_NOT_OPEN);
  EXPECT_EQ(finished.status().message(), SaveNotOpen("save", "it was replaced").message());
  EXPECT_EQ(others_, 0);
}

TEST_F(LocalSenderTest, AfterAnErrorThePartIsSubmittedAgain) {
  int submits = 0;
  const auto daemon = Daemon("token", [&submits](const v1::LocalRequest& request) {
    return request.has_submit() && ++submits == 1
               ? FakeLocalSocket::Error(request, DigestMismatch("weights", "a", "b"))
               : FakeLocalSocket::Stored(request);
  });
  const auto sender = Send("content");
  EXPECT_EQ(ReasonOf(sender->Attempt().status()), v1::ERROR_REASON_DIGEST_MISMATCH);
  EXPECT_TRUE(sender->Attempt().ok());
  EXPECT_EQ(daemon->AwaitSubmits(2)["weights"], "content");
}

TEST_F(LocalSenderTest, TheNextDaemonGetsWhatTheLastOneDidNotAnswer) {
  auto daemon = Daemon("token", NoAnswerToSubmits());
  const auto sender = Send("content");
  daemon->AwaitSubmits(1);
  daemon.reset();
  EXPECT_TRUE(absl::IsUnavailable(sender->Attempt().status()));
  EXPECT_EQ(others_, 1);
  daemon = Daemon("token of the next");
  EXPECT_TRUE(sender->Attempt().ok());
  EXPECT_EQ(daemon->AwaitSubmits(1)["weights"], "content");
  EXPECT_EQ(others_, 1);
  EXPECT_THAT(notices_, IsEmpty());
}

TEST_F(LocalSenderTest, WithoutASocketAnyMoreItGoesTheOtherWay) {
  auto daemon = Daemon("token", NoAnswerToSubmits());
  const auto sender = Send("content");
  daemon->AwaitSubmits(1);
  daemon.reset();
  link_.OnWelcome(v1::Welcome());
  sender->Attempt().IgnoreError();
  sender->Attempt().IgnoreError();
  EXPECT_EQ(others_, 2);
}

TEST_F(LocalSenderTest, ADaemonThatTakesNoSlotGetsItTheOtherWay) {
  const auto daemon = Daemon("token", [](const v1::LocalRequest& request) {
    if (request.has_hello()) return FakeLocalSocket::Stored(request);
    return FakeLocalSocket::Error(request, LimitExceeded("slots of one trainer", 1, 2));
  });
  Send("content")->Attempt().IgnoreError();
  EXPECT_EQ(others_, 1);
  EXPECT_THAT(notices_, ElementsAre(HasSubstr("slots of one trainer")));
}

TEST_F(LocalSenderTest, AnotherHostsDaemonGetsItTheOtherWay) {
  FakeLocalSocket stranger(path_, "token of the stranger");
  Welcome("token of the daemon");
  Send("content")->Attempt().IgnoreError();
  EXPECT_EQ(others_, 1);
  EXPECT_THAT(notices_, ElementsAre(HasSubstr("another daemon's token")));
}

TEST_F(LocalSenderTest, WhereThereIsNoOtherWayTheNextDaemonIsWaitedFor) {
  auto daemon = Daemon("token", NoAnswerToSubmits());
  const auto sender = Send("content", /*other_way=*/false);
  daemon->AwaitSubmits(1);
  daemon.reset();
  EXPECT_TRUE(absl::IsUnavailable(sender->Attempt().status()));
  // It is there, and has not been welcomed yet.
  daemon = std::make_unique<FakeLocalSocket>(path_, "token of the next");
  EXPECT_TRUE(absl::IsUnavailable(sender->Attempt().status()));
  EXPECT_FALSE(sender->TakeProgress());
  Welcome("token of the next");
  EXPECT_TRUE(sender->Attempt().ok());
  EXPECT_EQ(daemon->AwaitSubmits(1)["weights"], "content");
}

TEST_F(LocalSenderTest, WhereThereIsNoOtherWayASlotThatIsRefusedIsTheError) {
  const auto daemon = Daemon("token", [](const v1::LocalRequest& request) {
    if (request.has_hello()) return FakeLocalSocket::Stored(request);
    return FakeLocalSocket::Error(request, LimitExceeded("slots of one trainer", 1, 2));
  });
  const auto sender = Send("content", /*other_way=*/false);
  EXPECT_EQ(ReasonOf(sender->Attempt().status()), v1::ERROR_REASON_LIMIT_EXCEEDED);
  sender->Cancel();
  EXPECT_FALSE(sender->Attempt().ok());
}

TEST_F(LocalSenderTest, WhereThereIsNoOtherWayAnotherHostsDaemonIsNotWaitedFor) {
  FakeLocalSocket stranger(path_, "token of the stranger");
  Welcome("token of the daemon");
  for (int save = 0; save < 2; ++save) {
    const auto sender = Send("content", /*other_way=*/false);
    EXPECT_TRUE(absl::IsPermissionDenied(sender->Attempt().status()));
  }
}

TEST_F(LocalSenderTest, CancelEndsTheWaitAndTheSlotIsNotUsedBeforeItsAnswer) {
  const auto daemon = Daemon("token", NoAnswerToSubmits());
  auto sender = Send("content");
  std::thread waiting([&] { sender->Attempt().IgnoreError(); });
  daemon->AwaitSubmits(1);
  sender->Cancel();
  waiting.join();
  sender.reset();
  const auto second = link_.TakeSnapshot();
  EXPECT_NE(second, nullptr);
  EXPECT_EQ(link_.TakeSnapshot(), nullptr) << "the daemon still reads the first";
}

}  // namespace
}  // namespace ckpt::client
