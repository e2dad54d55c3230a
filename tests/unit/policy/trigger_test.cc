#include "server/policy/trigger.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "tests/unit/policy/trainer.h"

namespace ckpt::policy {
namespace {

constexpr auto kBatchEnd = v1::Event::KIND_BATCH_END;
constexpr auto kEpochBegin = v1::Event::KIND_EPOCH_BEGIN;
constexpr auto kEpochEnd = v1::Event::KIND_EPOCH_END;

Policy Make(const std::string& fields) { return *Policy::Create(ParseSpec(fields)); }

struct Step {
  v1::Event::Kind kind;
  int64_t epoch;
  int64_t batch = 0;
};

// Indices of the steps at which `policy` attempts a save.
std::vector<int> Attempts(const Policy& policy, v1::PolicyState& state,
                          const std::vector<Step>& steps) {
  std::vector<int> attempts;
  for (int i = 0; i < static_cast<int>(steps.size()); ++i) {
    const EventView event{.kind = steps[i].kind, .epoch = steps[i].epoch, .batch = steps[i].batch};
    const bool due = IsDue(policy, event, state);
    const bool attempted = Advance(policy, event, state).has_value();
    EXPECT_EQ(due, attempted) << i;
    if (attempted) attempts.push_back(i);
  }
  return attempts;
}

TEST(TriggerTest, DistanceBetweenBatches) {
  EXPECT_EQ(BatchesBetween(0, 0), 1);  // the first batch of all, or the only batch of an epoch
  EXPECT_EQ(BatchesBetween(0, 1), 1);
  EXPECT_EQ(BatchesBetween(4, 9), 5);
  EXPECT_EQ(BatchesBetween(9, 9), 10);
  EXPECT_EQ(BatchesBetween(9, 4), 5);
}

TEST(TriggerTest, EpochPoliciesLookAtEpochEndsOnly) {
  const Policy policy = Make("");
  v1::PolicyState state = policy.InitialState();
  EXPECT_EQ(Attempts(policy, state,
                     {{v1::Event::KIND_TRAIN_BEGIN, 0},
                      {kEpochBegin, 3},
                      {kBatchEnd, 3, 7},
                      {kEpochEnd, 3},
                      {v1::Event::KIND_TRAIN_END, 3}}),
            std::vector{3});
  EXPECT_EQ(state.current_epoch(), 3);
  EXPECT_EQ(state.last_batch(), 0);
  EXPECT_EQ(state.epochs_since_attempt(), 0);
}

TEST(TriggerTest, Period) {
  const std::vector<Step> epochs = {{kEpochEnd, 0}, {kEpochEnd, 1}, {kEpochEnd, 2}, {kEpochEnd, 3}};
  const struct {
    const char* fields;
    std::vector<int> want;
  } cases[] = {{"period: 1", {0, 1, 2, 3}},  {"period: 2", {1, 3}},
               {"period: 3", {2}},           {"period: 0", {0, 1, 2, 3}},
               {"period: -7", {0, 1, 2, 3}}, {"period: 9223372036854775807", {}}};
  for (const auto& c : cases) {
    const Policy policy = Make(c.fields);
    v1::PolicyState state = policy.InitialState();
    EXPECT_EQ(Attempts(policy, state, epochs), c.want) << c.fields;
  }
}

TEST(TriggerTest, BatchPoliciesCountAcrossEpochsAndIgnorePeriod) {
  const Policy policy = Make("save_freq { number_value: 3 } period: 100");
  v1::PolicyState state = policy.InitialState();
  EXPECT_EQ(Attempts(policy, state,
                     {{kBatchEnd, 0, 0},
                      {kBatchEnd, 0, 1},
                      {kEpochEnd, 0},
                      {kBatchEnd, 1, 0},
                      {kBatchEnd, 1, 1},
                      {kEpochEnd, 1}}),
            std::vector{3});
  EXPECT_EQ(state.batches_since_attempt(), 1);
  EXPECT_EQ(state.last_batch(), 1);
  EXPECT_EQ(state.epochs_since_attempt(), 1);
}

// An attempt starts the counter at 0: what was counted too much is lost.
TEST(TriggerTest, OvershootIsDiscarded) {
  const Policy policy = Make("save_freq { number_value: 4 }");
  v1::PolicyState state = policy.InitialState();
  EXPECT_EQ(Attempts(policy, state, {{kBatchEnd, 0, 6}, {kBatchEnd, 0, 9}, {kBatchEnd, 0, 10}}),
            (std::vector{0, 2}));
}

TEST(TriggerTest, TellsWhatNamesTheFile) {
  const Policy policy = Make("save_freq { number_value: 1 }");
  v1::PolicyState state = policy.InitialState();
  Advance(policy, {.kind = kEpochBegin, .epoch = 4}, state);
  // The epoch of a batch is that of the newest epoch begin, whatever the event says.
  const auto attempt = Advance(policy, {.kind = kBatchEnd, .epoch = 9, .batch = 2}, state);
  ASSERT_TRUE(attempt.has_value());
  EXPECT_EQ(attempt->epoch, 4);
  EXPECT_EQ(attempt->batch, 2);
}

TEST(TriggerTest, TheLargestNumbersDoNotOverflow) {
  constexpr int64_t kLargestBatch = int64_t{1} << 53;
  const Policy policy = Make("save_freq { number_value: 1e300 }");
  v1::PolicyState state = policy.InitialState();
  state.set_batches_since_attempt(std::numeric_limits<int64_t>::max() - 2);
  EXPECT_EQ(Attempts(policy, state, {{kBatchEnd, 0, 0}, {kBatchEnd, 0, kLargestBatch}}),
            std::vector{1});
}

}  // namespace
}  // namespace ckpt::policy
