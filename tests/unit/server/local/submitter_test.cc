#include "server/local/submitter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server_rig.h"
#include "storage/base/errors.h"
#include "tests/unit/storage/testing/test_content.h"

namespace ckpt::server {
namespace {

using std::chrono::system_clock;
using storage::TestContent;
using Answer = absl::StatusOr<v1::UploadFinished>;

constexpr int64_t kMiB = 1 << 20;

std::shared_ptr<TestContent> Content(int64_t size, int seed = 0) {
  return std::make_shared<TestContent>(storage::Bytes(static_cast<size_t>(size), seed));
}

// What waits until it is opened.
class Gate {
 public:
  void Open() { gate_.set_value(); }
  void Wait() const { opened_.wait(); }

 private:
  std::promise<void> gate_;
  std::shared_future<void> opened_ = gate_.get_future().share();
};

class SubmitterTest : public testing::Test {
 protected:
  static constexpr int kDiskThreads = 2;

  ~SubmitterTest() override { rig_.executors().Stop(); }

  // A stage: it needs no decision.
  static Submission Stage(const std::string& id, std::shared_ptr<const storage::Content> content) {
    Submission submission;
    submission.start.mutable_staged()->set_run("runs/r");
    submission.start.mutable_staged()->set_stage_id(id);
    submission.start.set_size(content->size());
    submission.content = std::move(content);
    return submission;
  }
  std::future<Answer> Submit(Submission submission) {
    auto promise = std::make_shared<std::promise<Answer>>();
    std::future<Answer> answer = promise->get_future();
    submitter_.Submit(std::move(submission),
                      [promise](Answer finished) { promise->set_value(std::move(finished)); });
    return answer;
  }

  ServerRig rig_{kDiskThreads};
  Submitter submitter_{rig_.context(), /*at_once=*/1};
};

TEST_F(SubmitterTest, StoresAndLetsGo) {
  auto content = Content(9 * kMiB + 5);
  const std::weak_ptr<const TestContent> held = content;
  const Answer answer = Submit(Stage("s", std::move(content))).get();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->part().size(), 9 * kMiB + 5);
  EXPECT_FALSE(answer->has_checkpoint());
  EXPECT_TRUE(held.expired());
  EXPECT_NE(rig_.metrics().Render().find("ckptd_local_bytes_total 9437189"), std::string::npos);
}

TEST_F(SubmitterTest, WhatDoesNotFitIsRefused) {
  struct Case {
    const char* what;
    Submission submission;
    v1::ErrorReason reason;
  };
  std::vector<Case> cases;
  const auto add = [&](const char* what, v1::ErrorReason reason) -> Submission& {
    cases.push_back({what, Stage("s", Content(10)), reason});
    return cases.back().submission;
  };
  add("offset", v1::ERROR_REASON_FIELD_INVALID).start.set_offset(1);
  add("size", v1::ERROR_REASON_FIELD_INVALID).start.set_size(9);
  add("digest's length", v1::ERROR_REASON_FIELD_INVALID).xxh3_128 = "short";
  add("digest", v1::ERROR_REASON_DIGEST_MISMATCH).xxh3_128 = std::string(16, 'x');
  add("no target", v1::ERROR_REASON_FIELD_INVALID).start.clear_target();
  add("run", v1::ERROR_REASON_RUN_NOT_FOUND).start.mutable_staged()->set_run("runs/none");
  add("save", v1::ERROR_REASON_SAVE_NOT_OPEN).start.set_save("runs/r/checkpoints/1");
  for (Case& each : cases) {
    EXPECT_EQ(ReasonOf(Submit(std::move(each.submission)).get().status()), each.reason)
        << each.what;
  }
  EXPECT_TRUE(Submit(Stage("s", Content(10))).get().ok()) << "nothing of them is left";
}

TEST_F(SubmitterTest, ContentThatIsFoundTornIsNotKept) {
  const auto torn = Content(10);
  torn->set_check(DigestMismatch("slot", "2", "4"));
  EXPECT_EQ(ReasonOf(Submit(Stage("s", torn)).get().status()), v1::ERROR_REASON_DIGEST_MISMATCH);
  const Answer again = Submit(Stage("s", Content(11))).get();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->part().size(), 11);
}

TEST_F(SubmitterTest, LongPartsLeaveTheDiskThreadsToOthers) {
  Gate gate;
  std::atomic<int> readers = 0;
  std::promise<void> all_read;
  const auto slow = Content(32 * kMiB);
  slow->set_on_read([&](int64_t offset) {
    if (offset == 0) return absl::OkStatus();
    if (++readers == 3) all_read.set_value();  // one disk thread, two helpers
    gate.Wait();
    return absl::OkStatus();
  });
  auto first = Submit(Stage("first", slow));
  all_read.get_future().wait();
  auto second = Submit(Stage("second", Content(10)));
  submitter_.AwaitOpened();
  std::promise<void> other;
  rig_.executors().PostDisk([&] { other.set_value(); });
  other.get_future().wait();
  EXPECT_EQ(second.wait_for(std::chrono::seconds(0)), std::future_status::timeout)
      << "it waits for its turn";
  gate.Open();
  EXPECT_TRUE(first.get().ok());
  EXPECT_TRUE(second.get().ok());
}

TEST_F(SubmitterTest, WhatWasSubmittedIsStoredBeforeTheEnd) {
  Gate gate;
  const auto slow = Content(10);
  slow->set_on_read([&](int64_t) {
    gate.Wait();
    return absl::OkStatus();
  });
  auto first = Submit(Stage("first", slow));
  auto second = Submit(Stage("second", Content(10)));
  submitter_.AwaitOpened();
  std::thread end([&] { submitter_.Finish(system_clock::now() + std::chrono::hours(1)); });
  gate.Open();
  end.join();
  EXPECT_TRUE(first.get().ok());
  EXPECT_TRUE(second.get().ok());
  EXPECT_EQ(ReasonOf(Submit(Stage("third", Content(10))).get().status()),
            v1::ERROR_REASON_DRAINING);
}

TEST_F(SubmitterTest, WhatHasNotBegunAtTheDeadlineIsRefused) {
  Gate gate;
  std::promise<void> begun;
  const auto slow = Content(10);
  slow->set_on_read([&](int64_t) {
    begun.set_value();
    gate.Wait();
    return absl::OkStatus();
  });
  auto first = Submit(Stage("first", slow));
  begun.get_future().wait();
  auto second = Submit(Stage("second", Content(10)));
  submitter_.Finish(system_clock::now());
  gate.Open();
  EXPECT_TRUE(first.get().ok()) << "it had begun";
  EXPECT_EQ(ReasonOf(second.get().status()), v1::ERROR_REASON_DRAINING);
}

}  // namespace
}  // namespace ckpt::server
