// What a daemon tells of metrics after it was killed: every point that was durable, once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ckpt/client.h"
#include "ckpt/run.h"
#include "tests/integration/ckptctl.h"
#include "tests/integration/daemon_process.h"

namespace ckpt::integration {
namespace {

using ::testing::HasSubstr;

constexpr char kRun[] = "long";

double LossAt(int64_t batch) { return 1.0 / static_cast<double>(batch + 1); }

class History : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(daemon_.Start());
    v1::CheckpointPolicy policy;
    policy.set_name("never");
    policy.set_filepath("never.bin");
    policy.set_monitor("absent");
    auto run = ckpt::Run::Start(
        {.server = daemon_.server(),
         .run = kRun,
         .policies = {policy},
         .weights = [](const v1::Checkpoint&) -> absl::StatusOr<std::vector<PartBytes>> {
           return absl::InternalError("no save is wanted");
         },
         .notify = [](std::string_view) {}});
    ASSERT_TRUE(run.ok()) << run.status();
    run_ = *std::move(run);
    ASSERT_TRUE(run_->OnTrainBegin().ok());
    ASSERT_TRUE(run_->OnEpochBegin(0).ok());
  }

  // Reports batches up to before `end`.
  void TrainTo(int64_t end) {
    for (; batches_ < end; ++batches_) {
      const auto decided = run_->OnBatchEnd(batches_, {{"loss", LossAt(batches_)}});
      ASSERT_TRUE(decided.ok()) << decided.status();
    }
  }

  void ExpectEveryPointOnce() {
    v1::GetHistoryRequest request;
    request.add_metrics("loss");
    request.set_points(10'000);
    request.set_method(v1::GetHistoryRequest::METHOD_NEWEST);
    const auto history = Client({.server = daemon_.server()}).GetHistory(kRun, request);
    ASSERT_TRUE(history.ok()) << history.status();
    const v1::MetricSeries& loss = history->series(0);
    ASSERT_EQ(loss.values_size(), batches_);
    for (int i = 0; i < loss.values_size(); ++i) {
      EXPECT_EQ(loss.batches(i), i);
      EXPECT_EQ(loss.values(i), LossAt(i)) << i;
      EXPECT_TRUE(i == 0 || loss.seqs(i) == loss.seqs(i - 1) + 1) << i;
    }
  }

  void KillAndStart() {
    daemon_.Kill();
    ASSERT_TRUE(daemon_.Start());
  }

  Finished Ctl(const std::vector<std::string>& arguments) { return Ckptctl(daemon_, arguments); }

  const ScratchFolder folder_;
  DaemonProcess daemon_{folder_};
  std::unique_ptr<ckpt::Run> run_;
  int64_t batches_ = 0;  // reported
};

TEST_F(History, EveryDurablePointIsThereOnceAfterKills) {
  // In a segment that is sealed and the tail behind it, short of another one, and beyond that.
  for (const int64_t end : {1500, 2000, 2600}) {
    ASSERT_NO_FATAL_FAILURE(TrainTo(end));
    ASSERT_TRUE(run_->Flush().ok());
    ASSERT_NO_FATAL_FAILURE(KillAndStart());
    ASSERT_NO_FATAL_FAILURE(ExpectEveryPointOnce());
  }
  // And what was on its way when the daemon was killed comes again, and is not there twice.
  ASSERT_NO_FATAL_FAILURE(TrainTo(4000));
  ASSERT_NO_FATAL_FAILURE(KillAndStart());
  ASSERT_NO_FATAL_FAILURE(TrainTo(4200));
  ASSERT_TRUE(run_->Close().ok());
  ExpectEveryPointOnce();
}

TEST_F(History, AMetricThatIsNotThereIsNotFound) {
  ASSERT_NO_FATAL_FAILURE(TrainTo(10));
  ASSERT_TRUE(run_->Close().ok());
  EXPECT_EQ(Ctl({"history", kRun}).out, "loss\n");
  EXPECT_EQ(Ctl({"history", kRun, "loss", "--plot"}).exit_code, 0);
  EXPECT_EQ(Ctl({"history", kRun, "loss", "--newest"}).exit_code, 0);
  const Finished unknown = Ctl({"history", kRun, "accuracy"});
  EXPECT_EQ(unknown.exit_code, 3);
  EXPECT_THAT(unknown.err, HasSubstr("has no points of 'accuracy'"));
  EXPECT_EQ(Ctl({"history", "nobody", "loss"}).exit_code, 3);
}

}  // namespace
}  // namespace ckpt::integration
