#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "server/policy/decide.h"
#include "server/policy/trigger.h"
#include "tests/unit/policy/trainer.h"

namespace ckpt::policy {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

PolicySet MakeSet(const std::vector<v1::CheckpointPolicy>& specs) {
  return *PolicySet::Create(specs);
}

v1::PolicyState ParseState(const std::string& text) {
  v1::PolicyState state;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &state)) << text;
  return state;
}

TEST(PolicySetTest, NamesAreUniqueAndTheirNumberIsLimited) {
  std::vector<v1::CheckpointPolicy> specs;
  EXPECT_TRUE(PolicySet::Create(specs).ok());
  for (int i = 0; i < 32; ++i) specs.push_back(ParseSpec("name: 'p" + std::to_string(i) + "'"));
  EXPECT_EQ(PolicySet::Create(specs)->policies().size(), 32);
  specs.push_back(ParseSpec("name: 'more'"));
  EXPECT_EQ(ReasonOf(PolicySet::Create(specs).status()), v1::ERROR_REASON_LIMIT_EXCEEDED);
  const std::vector twice = {ParseSpec(""), ParseSpec("filepath: 'g'")};
  EXPECT_EQ(ReasonOf(PolicySet::Create(twice).status()), v1::ERROR_REASON_POLICY_DUPLICATE);
  const std::vector bad = {ParseSpec(""), ParseSpec("name: 'b' filepath: '/'")};
  EXPECT_EQ(ReasonOf(PolicySet::Create(bad).status()), v1::ERROR_REASON_PATH_ESCAPES);
}

// `state` as a policy of the given spec leaves it.
v1::PolicyState Under(const std::string& spec, const std::string& state) {
  v1::PolicyState parsed = ParseState(state);
  const auto policy = Policy::Create(ParseSpec(spec));
  EXPECT_TRUE(policy.ok());
  parsed.set_monitor(policy->monitor());
  parsed.set_maximize(policy->maximize());
  return parsed;
}

// What a policy of a run takes over from the one of the same name before it.
TEST(PolicySetTest, CarryOver) {
  const std::string left =
      "policy: 'p' best: 0.5 best_checkpoint_id: '3' open_saves { checkpoint_id: '4' value: 0.25 } "
      "batches_since_attempt: 1 last_batch: 2 epochs_since_attempt: 3 current_epoch: 4";
  const std::string counters =
      "batches_since_attempt: 1 last_batch: 2 epochs_since_attempt: 3 current_epoch: 4";
  const std::string unranked = "policy: 'p' best: inf open_saves { checkpoint_id: '4' } ";
  const std::string unranked_max = "policy: 'p' best: -inf open_saves { checkpoint_id: '4' } ";
  const struct {
    const char* name;
    const char* before;
    const char* now;
    bool fresh;
    std::string want;
  } cases[] = {
      {"the same", "", "", false, left},
      {"another file", "", "filepath: 'g' verbose: 1", false, left},
      {"default spelt out", "", "monitor: 'val_loss' mode: 'min'", false, left},
      {"another threshold", "", "initial_value_threshold: 0.1", false, left},
      {"another metric", "", "monitor: 'mae'", false, unranked + counters},
      {"another direction", "", "mode: 'max'", false, unranked_max + counters},
      {"fresh", "", "", true, unranked},
  };
  for (const auto& c : cases) {
    const auto states =
        MakeSet({ParseSpec(c.now)}).CarryOver(std::vector{Under(c.before, left)}, c.fresh);
    ASSERT_EQ(states.size(), 1);
    EXPECT_EQ(states[0].DebugString(), Under(c.now, c.want).DebugString()) << c.name;
  }
}

TEST(PolicySetTest, AThresholdCountsUntilThereIsABest) {
  const std::vector previous = {Under("", "policy: 'p' best: 7")};
  const auto states =
      MakeSet({ParseSpec("initial_value_threshold: 0.25")}).CarryOver(previous, false);
  EXPECT_EQ(states[0].best(), 0.25);
}

TEST(PolicySetTest, NewPoliciesBeginAndOldOnesGo) {
  const PolicySet set = MakeSet({ParseSpec("name: 'new' mode: 'max'"), ParseSpec("")});
  const auto states = set.CarryOver(
      std::vector{ParseState("policy: 'gone' best: 1"), Under("", "policy: 'p' last_batch: 9")},
      false);
  ASSERT_EQ(states.size(), 2);
  EXPECT_EQ(states[0].DebugString(),
            Under("mode: 'max'", "policy: 'new' best: -inf").DebugString());
  EXPECT_EQ(states[1].policy(), "p");
  EXPECT_EQ(states[1].last_batch(), 9);
}

TEST(PolicySetTest, CommittedAndFailed) {
  const PolicySet set = MakeSet({ParseSpec("save_best_only: true"), ParseSpec("name: 'q'")});
  const auto begin = [] {
    return std::vector{ParseState("policy: 'p' best: 9 open_saves { checkpoint_id: '1' value: 5 } "
                                  "open_saves { checkpoint_id: '2' value: 3 }"),
                       ParseState("policy: 'q' best: inf open_saves { checkpoint_id: '1' } "
                                  "open_saves { checkpoint_id: '2' }")};
  };
  auto states = begin();
  set.Committed("2", states);
  EXPECT_EQ(states[0].best(), 3);
  EXPECT_EQ(states[0].best_checkpoint_id(), "2");
  EXPECT_EQ(states[0].open_saves_size(), 1);
  EXPECT_EQ(states[1].best_checkpoint_id(), "");
  EXPECT_EQ(states[1].open_saves_size(), 1);
  set.Committed("1", states);  // late, and no longer the best
  EXPECT_EQ(states[0].best(), 3);
  EXPECT_EQ(states[0].best_checkpoint_id(), "2");
  EXPECT_EQ(states[0].open_saves_size(), 0);

  states = begin();
  set.Failed("2", states);
  EXPECT_EQ(set.policies()[0].EffectiveBest(states[0]), 5);
  set.Failed("1", states);
  EXPECT_EQ(set.policies()[0].EffectiveBest(states[0]), 9);
  EXPECT_EQ(states[0].best_checkpoint_id(), "");
  EXPECT_EQ(states[1].open_saves_size(), 0);

  const std::string untouched = states[0].DebugString();
  set.Committed("77", states);
  set.Failed("77", states);
  EXPECT_EQ(states[0].DebugString(), untouched);
}

TEST(PolicySetTest, ResumeTakesCountersAndNothingElse) {
  v1::Checkpoint checkpoint;
  *checkpoint.add_policy_states() = ParseState(
      "policy: 'p' best: 8 best_checkpoint_id: '1' batches_since_attempt: 1 last_batch: 2 "
      "epochs_since_attempt: 3 current_epoch: 4");
  const PolicySet set = MakeSet({ParseSpec("name: 'other'"), ParseSpec("")});
  std::vector states = {ParseState("policy: 'other' last_batch: 50"),
                        ParseState("policy: 'p' best: 2 best_checkpoint_id: '7' "
                                   "open_saves { checkpoint_id: '8' } last_batch: 60")};
  set.ResumeCounters(checkpoint, states);
  EXPECT_EQ(states[0].DebugString(), ParseState("policy: 'other' last_batch: 50").DebugString());
  EXPECT_EQ(states[1].DebugString(),
            ParseState("policy: 'p' best: 2 best_checkpoint_id: '7' "
                       "open_saves { checkpoint_id: '8' } batches_since_attempt: 1 last_batch: 2 "
                       "epochs_since_attempt: 3 current_epoch: 4")
                .DebugString());
}

TEST(PolicySetTest, QuietBatches) {
  const std::string every5 = "save_freq { number_value: 5 } ";
  const struct {
    const char* name;
    std::vector<std::string> specs;
    std::vector<std::string> states;
    int64_t want;
  } cases[] = {
      {"no policies", {}, {}, kNever},
      {"epochs only", {""}, {""}, kNever},
      {"at the start", {every5}, {""}, 5},
      {"on the way", {every5}, {"batches_since_attempt: 3"}, 2},
      {"the next one", {every5}, {"batches_since_attempt: 4"}, 1},
      {"counted under a larger save_freq", {every5}, {"batches_since_attempt: 8"}, 1},
      {"every batch", {"save_freq { number_value: -2 }"}, {""}, 1},
      {"the nearest counts",
       {every5, "name: 'q' save_freq { number_value: 7 }"},
       {"batches_since_attempt: 1", "batches_since_attempt: 4"},
       3},
      {"epoch policies do not", {"", "name: 'q' save_freq { number_value: 7 }"}, {"", ""}, 7},
      {"different last batches",
       {every5, "name: 'q' save_freq { number_value: 7 }"},
       {"last_batch: 3", "last_batch: 0"},
       1},
  };
  for (const auto& c : cases) {
    std::vector<v1::CheckpointPolicy> specs;
    for (const std::string& spec : c.specs) specs.push_back(ParseSpec(spec));
    std::vector<v1::PolicyState> states;
    for (const std::string& state : c.states) states.push_back(ParseState(state));
    EXPECT_EQ(MakeSet(specs).QuietBatches(states), c.want) << c.name;
  }
}

// A trainer that counts batch ends by the rule of the contract is never decided on early, and with
// one policy is decided on exactly when it expects to be.
TEST(PolicySetTest, QuietBatchesAreCertain) {
  std::mt19937_64 random(29);
  for (int round = 0; round < 200; ++round) {
    const auto any = [&](int64_t least, int64_t most) {
      return std::uniform_int_distribution<int64_t>(least, most)(random);
    };
    const auto spec = [&](const std::string& name) {
      return "name: '" + name + "' save_freq { number_value: " + std::to_string(any(1, 40)) + " }";
    };
    const bool single = round % 2 == 0;
    Trainer trainer(single ? std::vector{spec("a")} : std::vector{spec("a"), spec("b"), spec("c")});
    int64_t quiet = trainer.set.QuietBatches(trainer.states);
    int64_t counted = 0;
    int64_t last = 0;
    for (int i = 0; i < 100; ++i) {
      const int64_t index = any(0, 3) == 0 ? any(0, 5) : last + any(1, 9);
      counted += BatchesBetween(last, index);
      last = index;
      const v1::Decision decision = trainer.BatchEnd(index, {});
      const bool acted = decision.policies_size() > 0;
      if (counted < quiet) {
        ASSERT_FALSE(acted);
      } else if (single) {
        ASSERT_TRUE(acted);
      }
      if (acted) {
        quiet = decision.quiet_batches();
        counted = 0;
      }
    }
  }
}

// Saves end in any order, well or not. At any moment the best is the best of what is committed, and
// what is on its way counts in.
TEST(PolicySetTest, BestIsTheBestCommitted) {
  std::mt19937_64 random(29);
  for (int round = 0; round < 100; ++round) {
    Trainer trainer("save_best_only: true");
    trainer.commit = false;
    const Policy& policy = trainer.set.policies()[0];
    std::vector<std::pair<std::string, double>> open;
    double best_committed = std::numeric_limits<double>::infinity();
    for (int step = 0; step < 60; ++step) {
      if (random() % 2 == 0 || open.empty()) {
        const double value = static_cast<double>(random() % 1000);
        double effective = best_committed;
        for (const auto& [id, other] : open) effective = std::min(effective, other);
        const v1::Decision decision = trainer.EpochEnd(step, {{"val_loss", value}});
        ASSERT_EQ(decision.saves_size(), value < effective ? 1 : 0);
        if (value < effective) {
          open.emplace_back(std::to_string(trainer.last_checkpoint_id), value);
        }
      } else {
        const auto ended = open.begin() + static_cast<ptrdiff_t>(random() % open.size());
        if (random() % 2 == 0) {
          trainer.set.Committed(ended->first, trainer.states);
          best_committed = std::min(best_committed, ended->second);
        } else {
          trainer.set.Failed(ended->first, trainer.states);
        }
        open.erase(ended);
      }
      ASSERT_EQ(trainer.states[0].best(), best_committed);
      ASSERT_EQ(trainer.states[0].open_saves_size(), static_cast<int>(open.size()));
      double effective = best_committed;
      for (const auto& [id, other] : open) effective = std::min(effective, other);
      ASSERT_EQ(policy.EffectiveBest(trainer.states[0]), effective);
    }
  }
}

}  // namespace
}  // namespace ckpt::policy
