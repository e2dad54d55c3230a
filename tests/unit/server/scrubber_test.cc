#include "server/scrubber.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "storage/blob/layout.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/store_fixture.h"

namespace ckpt::server {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kNanosPerHour = 3'600'000'000'000;

class ScrubberTest : public storage::StoreFixture {
 protected:
  void SetUp() override {
    Open();
    ASSERT_OK(Commit(storage::MakeSave("r", 1, {"a"}), "12345"));
    ASSERT_OK(Commit(storage::MakeSave("r", 2, {"b"}), "1234567"));
  }
  void TearDown() override { executors_.Stop(); }

  void Start(int interval_hours) {
    v1::ScrubConfig config;
    config.set_interval_hours(interval_hours);
    config.set_mib_per_second(1'000'000);
    scrubber_ = std::make_unique<Scrubber>(*store_, executors_, metrics_, clock_, config);
    scrubber_->Start();
  }
  // Until so much has been verified, and whatever more comes at once.
  void AwaitRead(int64_t bytes) {
    while (Read() < bytes) std::this_thread::yield();
    FinishTasks();
  }
  // Until what is due now has been done.
  void FinishTasks() {
    std::promise<void> done;
    executors_.PostAfter(std::chrono::milliseconds(20), executors_.NewDiskStrand(),
                         [&] { done.set_value(); });
    done.get_future().wait();
  }
  void SetState(int64_t hours_ago, const std::string& position) {
    v1::ScrubState state;
    state.set_begin_unix_nanos(clock_.now - hours_ago * kNanosPerHour);
    state.set_position(position);
    ASSERT_OK(store_->SetScrubState(state));
  }
  // Bytes verified so far.
  int64_t Read() {
    const std::string text = metrics_.Render();
    const std::string name = "\nckptd_scrub_bytes_total ";
    const size_t at = text.find(name);
    EXPECT_NE(at, std::string::npos) << text;
    return static_cast<int64_t>(std::stod(text.substr(at + name.size())));
  }

  Metrics metrics_;
  Executors executors_{1};  // tasks come one after the other
  std::unique_ptr<Scrubber> scrubber_;
};

TEST_F(ScrubberTest, ReadsEverythingAtTheFirstStart) {
  Start(168);
  AwaitRead(12);
  EXPECT_EQ(Read(), 12);
  EXPECT_EQ(metrics_.damaged_parts.Value(), 0);
}

TEST_F(ScrubberTest, CountsDamageAndRepairsNothing) {
  const std::string part = data_ + '/' + storage::BlobPath("r@1") + "/weights";
  fs::remove(part);
  storage::WriteFile(part, "1234x");
  Start(168);
  while (metrics_.damaged_parts.Value() < 2) std::this_thread::yield();
  FinishTasks();
  EXPECT_EQ(metrics_.damaged_parts.Value(), 2);  // the part, and its name that leads elsewhere
  EXPECT_EQ(storage::ReadFile(part), "1234x");
  EXPECT_EQ(store_->GetCheckpoint("r", "1")->damage(), "");
}

TEST_F(ScrubberTest, GoesOnWhereItStood) {
  SetState(1, "runs/r/checkpoints/1");
  const int64_t begin = clock_.now - kNanosPerHour;
  Start(168);
  while (!store_->GetScrubState()->position().empty()) std::this_thread::yield();
  EXPECT_EQ(Read(), 7);
  EXPECT_EQ(store_->GetScrubState()->begin_unix_nanos(), begin);
}

TEST_F(ScrubberTest, WaitsUntilTheNextRoundIsDue) {
  SetState(167, "");
  Start(168);
  FinishTasks();
  EXPECT_EQ(Read(), 0);
}

TEST_F(ScrubberTest, BeginsWhenARoundIsOverdue) {
  SetState(169, "");
  Start(168);
  AwaitRead(12);
  EXPECT_EQ(Read(), 12);
}

// A round that seems to begin in the future is none that has been missed.
TEST_F(ScrubberTest, AClockThatWentBackBeginsNoRound) {
  SetState(-24 * 400, "");
  Start(168);
  FinishTasks();
  EXPECT_EQ(Read(), 0);
}

TEST(Scrubber, WaitsNoLongerThanAnInterval) {
  using std::chrono::hours;
  struct Case {
    const char* what;
    int hours_since, wait;
  };
  for (const Case& c :
       {Case{"just begun", 0, 168}, Case{"on its way", 100, 68}, Case{"due", 168, 0},
        Case{"long overdue", 1000, 0}, Case{"the clock was set back a year", -8760, 168}}) {
    EXPECT_EQ(Scrubber::UntilNextRound(hours(168), hours(c.hours_since)), hours(c.wait)) << c.what;
  }
}

TEST_F(ScrubberTest, NeverIsNever) {
  Start(0);
  FinishTasks();
  EXPECT_EQ(Read(), 0);
  EXPECT_EQ(store_->GetScrubState()->begin_unix_nanos(), 0);
}

}  // namespace
}  // namespace ckpt::server
