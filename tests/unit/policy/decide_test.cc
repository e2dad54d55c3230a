#include "server/policy/decide.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/unit/policy/trainer.h"

namespace ckpt::policy {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr auto kSave = v1::PolicyDecision::ACTION_SAVE;
constexpr auto kSkip = v1::PolicyDecision::ACTION_SKIP;
constexpr auto kError = v1::PolicyDecision::ACTION_ERROR;

using Specs = std::vector<std::string>;

TEST(DecideTest, ASaveSaysAllThatIsKnown) {
  Trainer trainer(
      "filepath: './w{epoch:02d}//{val_loss:.2f}' save_best_only: true save_weights_only: true "
      "verbose: 1 options { projection: PROJECTION_COPY }");
  trainer.commit = false;
  trainer.last_checkpoint_id = 6;
  const v1::Decision decision = trainer.EpochEnd(4, {{"val_loss", 0.5}, {"acc", 0.75}});

  EXPECT_EQ(decision.seq(), 1);
  EXPECT_EQ(decision.quiet_batches(), std::numeric_limits<int64_t>::max());
  ASSERT_EQ(decision.policies_size(), 1);
  const v1::PolicyDecision& policy = decision.policies(0);
  EXPECT_EQ(policy.policy(), "p");
  EXPECT_EQ(policy.action(), kSave);
  EXPECT_EQ(policy.reason(), v1::PolicyDecision::REASON_IMPROVED);
  EXPECT_EQ(policy.filepath(), "./w05//0.50");
  EXPECT_EQ(policy.save(), "runs/r/checkpoints/7");
  EXPECT_EQ(policy.message(),
            "Epoch 5: val_loss improved from inf to 0.50000, saving model to ./w05//0.50");
  EXPECT_EQ(policy.best(), 0.5);
  EXPECT_EQ(policy.payload(), v1::Checkpoint::PAYLOAD_WEIGHTS);

  ASSERT_EQ(decision.saves_size(), 1);
  const v1::Checkpoint& save = decision.saves(0);
  EXPECT_EQ(save.name(), "runs/r/checkpoints/7");
  EXPECT_EQ(save.state(), v1::Checkpoint::STATE_SAVING);
  EXPECT_EQ(save.payload(), v1::Checkpoint::PAYLOAD_WEIGHTS);
  EXPECT_EQ(save.seq(), 1);
  EXPECT_EQ(save.epoch(), 4);
  EXPECT_FALSE(save.has_batch());
  EXPECT_EQ(save.metrics_size(), 2);
  EXPECT_EQ(save.metrics().at("acc"), 0.75);
  ASSERT_EQ(save.placements_size(), 1);
  EXPECT_EQ(save.placements(0).policy(), "p");
  EXPECT_EQ(save.placements(0).filepath(), "w05/0.50");
  EXPECT_EQ(save.placements(0).options().projection(), v1::StorageOptions::PROJECTION_COPY);
  EXPECT_EQ(save.placements(0).value(), 0.5);
  ASSERT_EQ(save.policy_states_size(), 1);
  EXPECT_EQ(save.policy_states(0).DebugString(), trainer.states[0].DebugString());

  EXPECT_EQ(trainer.last_checkpoint_id, 7);
  ASSERT_EQ(trainer.states[0].open_saves_size(), 1);
  EXPECT_EQ(trainer.states[0].open_saves(0).checkpoint_id(), "7");
  EXPECT_EQ(trainer.states[0].open_saves(0).value(), 0.5);
  EXPECT_EQ(trainer.states[0].best(), kInfinity);
}

TEST(DecideTest, ABatchSaveCarriesItsBatch) {
  Trainer trainer("save_freq { number_value: 2 } filepath: '{epoch}-{batch}'");
  trainer.EpochBegin(3);
  EXPECT_EQ(trainer.BatchEnd(0, {}).policies_size(), 0);
  const v1::Decision decision = trainer.BatchEnd(1, {{"loss", 1}});
  ASSERT_EQ(decision.saves_size(), 1);
  EXPECT_EQ(decision.policies(0).filepath(), "4-2");
  EXPECT_EQ(decision.saves(0).epoch(), 3);
  EXPECT_EQ(decision.saves(0).batch(), 1);
  EXPECT_FALSE(decision.saves(0).placements(0).has_value());
}

TEST(DecideTest, EventsWithoutATriggerDecideNothing) {
  Trainer trainer("save_freq { number_value: 2 }");
  for (const auto kind :
       {v1::Event::KIND_UNSPECIFIED, v1::Event::KIND_TRAIN_BEGIN, v1::Event::KIND_EPOCH_BEGIN,
        v1::Event::KIND_BATCH_END, v1::Event::KIND_EPOCH_END, v1::Event::KIND_TRAIN_END}) {
    const v1::Decision decision = trainer.Feed(kind, 0, 0, {});
    EXPECT_EQ(decision.policies_size(), 0) << kind;
    EXPECT_EQ(decision.saves_size(), 0) << kind;
    EXPECT_EQ(decision.seq(), trainer.seq);
  }
}

TEST(DecideTest, VerboseDecidesOnMessagesOnly) {
  const struct {
    const char* fields;
    std::map<std::string, double> logs;
    const char* message;
    const char* warning;
  } cases[] = {
      {"verbose: 1", {}, "Epoch 1: saving model to f", ""},
      {"verbose: 2", {}, "Epoch 1: saving model to f", ""},
      {"verbose: 0", {}, "", ""},
      {"verbose: -1", {}, "", ""},
      {"verbose: 1 save_best_only: true initial_value_threshold: 1",
       {{"val_loss", 1}},
       "Epoch 1: val_loss did not improve from 1.00000",
       ""},
      {"save_best_only: true initial_value_threshold: 1", {{"val_loss", 1}}, "", ""},
      {"verbose: 1 save_best_only: true",
       {},
       "",
       "Can save best model only with val_loss available, skipping."},
      {"save_best_only: true",
       {},
       "",
       "Can save best model only with val_loss available, skipping."},
  };
  for (const auto& c : cases) {
    Trainer trainer(c.fields);
    const v1::Decision decision = trainer.EpochEnd(0, c.logs);
    ASSERT_EQ(decision.policies_size(), 1);
    EXPECT_EQ(decision.policies(0).message(), c.message) << c.fields;
    EXPECT_EQ(decision.policies(0).warning(), c.warning) << c.fields;
  }
}

TEST(DecideTest, Reasons) {
  Trainer trainer("save_best_only: true");
  const struct {
    std::map<std::string, double> logs;
    v1::PolicyDecision::Action action;
    v1::PolicyDecision::Reason reason;
    double best;
  } steps[] = {
      {{}, kSkip, v1::PolicyDecision::REASON_METRIC_MISSING, kInfinity},
      {{{"val_loss", std::nan("")}}, kSkip, v1::PolicyDecision::REASON_NOT_IMPROVED, kInfinity},
      {{{"val_loss", 2}}, kSave, v1::PolicyDecision::REASON_IMPROVED, 2},
      {{{"val_loss", 2}}, kSkip, v1::PolicyDecision::REASON_NOT_IMPROVED, 2},
      {{{"val_loss", 1}}, kSave, v1::PolicyDecision::REASON_IMPROVED, 1},
  };
  for (const auto& step : steps) {
    const v1::Decision decision = trainer.EpochEnd(0, step.logs);
    ASSERT_EQ(decision.policies_size(), 1);
    EXPECT_EQ(decision.policies(0).action(), step.action);
    EXPECT_EQ(decision.policies(0).reason(), step.reason);
    EXPECT_EQ(decision.policies(0).best(), step.best);
    EXPECT_EQ(decision.saves_size(), step.action == kSave ? 1 : 0);
  }
  Trainer always("");
  EXPECT_EQ(always.EpochEnd(0, {}).policies(0).reason(), v1::PolicyDecision::REASON_ALWAYS);
}

// A policy that saves always never ranks.
TEST(DecideTest, WithoutBestOnlyTheBestStays) {
  Trainer trainer("initial_value_threshold: 0.5");
  const v1::Decision decision = trainer.EpochEnd(0, {{"val_loss", 0.25}});
  EXPECT_EQ(decision.policies(0).best(), 0.5);
  EXPECT_EQ(decision.saves(0).placements(0).value(), 0.25);
  EXPECT_EQ(trainer.states[0].best(), 0.5);
  EXPECT_EQ(trainer.states[0].best_checkpoint_id(), "");
}

// The name is made first: it fails even where nothing would be saved, and counters move on.
TEST(DecideTest, ANameThatCannotBeMadeIsAnError) {
  Trainer trainer("filepath: 'm-{mape:.2f}' save_best_only: true period: 2 verbose: 1");
  EXPECT_EQ(trainer.EpochEnd(0, {{"val_loss", 1}}).policies_size(), 0);
  const v1::Decision decision = trainer.EpochEnd(1, {{"val_loss", 1}});
  ASSERT_EQ(decision.policies_size(), 1);
  const v1::PolicyDecision& policy = decision.policies(0);
  EXPECT_EQ(policy.action(), kError);
  EXPECT_EQ(policy.reason(), v1::PolicyDecision::REASON_NAME_ERROR);
  EXPECT_EQ(policy.error().reason(), v1::ERROR_REASON_TEMPLATE_KEY);
  EXPECT_EQ(policy.error().message(),
            "Failed to format this callback filepath: \"m-{mape:.2f}\". Reason: 'mape'");
  EXPECT_EQ(policy.message(), "");
  EXPECT_EQ(policy.best(), kInfinity);
  EXPECT_EQ(decision.saves_size(), 0);
  EXPECT_EQ(trainer.states[0].epochs_since_attempt(), 0);
  EXPECT_EQ(trainer.EpochEnd(2, {{"val_loss", 1}}).policies_size(), 0);
}

TEST(DecideTest, ANameThatIsBlockedLeavesTheBestAlone) {
  Trainer trainer("filepath: 'a//{epoch}' save_best_only: true verbose: 1");
  trainer.blocked["a/1"] = "it is a folder";
  const v1::Decision decision = trainer.EpochEnd(0, {{"val_loss", 1}});
  const v1::PolicyDecision& policy = decision.policies(0);
  EXPECT_EQ(policy.action(), kError);
  EXPECT_EQ(policy.reason(), v1::PolicyDecision::REASON_NAME_ERROR);
  EXPECT_EQ(policy.error().reason(), v1::ERROR_REASON_PATH_BLOCKED);
  EXPECT_EQ(policy.error().message(), "file name 'a/1' cannot be used: it is a folder");
  EXPECT_EQ(policy.message(), "");
  EXPECT_EQ(policy.filepath(), "");
  EXPECT_EQ(decision.saves_size(), 0);
  EXPECT_EQ(trainer.states[0].best(), kInfinity);
  EXPECT_EQ(trainer.states[0].open_saves_size(), 0);
  EXPECT_EQ(trainer.last_checkpoint_id, 0);
  EXPECT_EQ(trainer.EpochEnd(1, {{"val_loss", 1}}).policies(0).action(), kSave);
}

TEST(DecideTest, ABlockedNameDoesNotMatterWhenNothingIsSaved) {
  Trainer trainer("save_best_only: true initial_value_threshold: 0");
  trainer.blocked["f"] = "it is a folder";
  EXPECT_EQ(trainer.EpochEnd(0, {{"val_loss", 1}}).policies(0).action(), kSkip);
}

TEST(DecideTest, WhatWasAnsweredBeforeStaysSkipped) {
  Trainer trainer("save_best_only: true verbose: 1 save_freq { number_value: 1 }");
  trainer.answered_before = true;
  const v1::Decision decision = trainer.BatchEnd(0, {{"val_loss", 1}});
  EXPECT_EQ(decision.policies(0).action(), kSkip);
  EXPECT_EQ(decision.policies(0).reason(), v1::PolicyDecision::REASON_ANSWERED_BEFORE);
  EXPECT_EQ(decision.policies(0).message(), "");
  EXPECT_EQ(decision.policies(0).best(), kInfinity);
  EXPECT_EQ(decision.saves_size(), 0);
  EXPECT_EQ(trainer.states[0].best(), kInfinity);
  trainer.answered_before = false;
  EXPECT_EQ(trainer.BatchEnd(1, {{"val_loss", 2}}).policies(0).action(), kSave);
}

TEST(DecideTest, WhatIsKeptInMemoryIsASaveOfItsOwn) {
  const std::string memory = " options { placement: PLACEMENT_MEMORY snapshots: 2 }";
  Trainer trainer(Specs{"name: 'm1' filepath: 'm1'" + memory, "name: 'disk' filepath: 'disk'",
                        "name: 'm2' filepath: 'm2'" + memory});
  trainer.commit = false;
  const v1::Decision decision = trainer.EpochEnd(0, {{"val_loss", 1}});
  ASSERT_EQ(decision.saves_size(), 2);
  ASSERT_EQ(decision.saves(0).placements_size(), 2);
  EXPECT_EQ(decision.saves(0).placements(0).policy(), "m1");
  EXPECT_EQ(decision.saves(0).placements(1).policy(), "m2");
  EXPECT_EQ(decision.saves(0).placements(1).options().snapshots(), 2);
  ASSERT_EQ(decision.saves(1).placements_size(), 1);
  EXPECT_EQ(decision.saves(1).placements(0).policy(), "disk");
}

// One upload serves every policy that chose it; different payloads are different saves.
TEST(DecideTest, PoliciesShareASaveByPayload) {
  Trainer trainer(Specs{"name: 'w1' filepath: 'w1' save_weights_only: true",
                        "name: 'full' filepath: 'full'",
                        "name: 'never' save_best_only: true initial_value_threshold: nan",
                        "name: 'w2' filepath: 'w2' save_weights_only: true save_best_only: true"});
  trainer.commit = false;
  const v1::Decision decision = trainer.EpochEnd(0, {{"val_loss", 1}});
  ASSERT_EQ(decision.policies_size(), 4);
  ASSERT_EQ(decision.saves_size(), 2);
  EXPECT_EQ(decision.policies(0).save(), "runs/r/checkpoints/1");
  EXPECT_EQ(decision.policies(1).save(), "runs/r/checkpoints/2");
  EXPECT_EQ(decision.policies(2).save(), "");
  EXPECT_EQ(decision.policies(3).save(), "runs/r/checkpoints/1");
  ASSERT_EQ(decision.saves(0).placements_size(), 2);
  EXPECT_EQ(decision.saves(0).placements(0).filepath(), "w1");
  EXPECT_EQ(decision.saves(0).placements(1).filepath(), "w2");
  ASSERT_EQ(decision.saves(1).placements_size(), 1);
  EXPECT_EQ(decision.saves(1).placements(0).policy(), "full");
  EXPECT_EQ(decision.saves(1).payload(), v1::Checkpoint::PAYLOAD_FULL);

  EXPECT_EQ(trainer.states[0].open_saves(0).checkpoint_id(), "1");
  EXPECT_EQ(trainer.states[1].open_saves(0).checkpoint_id(), "2");
  EXPECT_EQ(trainer.states[2].open_saves_size(), 0);
  EXPECT_EQ(trainer.states[3].open_saves(0).checkpoint_id(), "1");
  EXPECT_EQ(trainer.last_checkpoint_id, 2);
  // The states in a save are those after the whole event, of every policy.
  for (const v1::Checkpoint& save : decision.saves()) {
    ASSERT_EQ(save.policy_states_size(), 4);
    EXPECT_EQ(save.policy_states(3).open_saves_size(), 1);
  }
}

// Best and latest side by side, one of them failing.
TEST(DecideTest, TwoPoliciesOnOneRun) {
  Trainer trainer(Specs{"name: 'best' filepath: 'best' save_best_only: true",
                        "name: 'latest' filepath: 'latest'"});
  trainer.commit = false;
  EXPECT_EQ(trainer.EpochEnd(0, {{"val_loss", 3}}).saves(0).placements_size(), 2);
  trainer.set.Committed("1", trainer.states);
  EXPECT_EQ(trainer.EpochEnd(1, {{"val_loss", 2}}).saves(0).placements_size(), 2);
  trainer.set.Failed("2", trainer.states);
  const v1::Decision third = trainer.EpochEnd(2, {{"val_loss", 2.5}});  // better than 3 again
  EXPECT_EQ(third.saves(0).placements_size(), 2);
  EXPECT_EQ(third.policies(0).best(), 2.5);
  const v1::Decision fourth = trainer.EpochEnd(3, {{"val_loss", 2.75}});
  EXPECT_EQ(fourth.policies(0).action(), kSkip);
  EXPECT_EQ(fourth.policies(1).action(), kSave);
}

// Later events are compared with a save on its way; its failure gives the rank back.
TEST(DecideTest, ASaveOnItsWayCountsUntilItFails) {
  Trainer trainer("save_best_only: true verbose: 1");
  trainer.commit = false;
  trainer.EpochEnd(0, {{"val_loss", 1}});
  const v1::Decision worse = trainer.EpochEnd(1, {{"val_loss", 2}});
  EXPECT_EQ(worse.policies(0).message(), "Epoch 2: val_loss did not improve from 1.00000");
  trainer.set.Failed("1", trainer.states);
  const v1::Decision again = trainer.EpochEnd(2, {{"val_loss", 2}});
  EXPECT_EQ(again.policies(0).message(),
            "Epoch 3: val_loss improved from inf to 2.00000, saving model to f");
}

TEST(DecideTest, AnEventWithoutLogsIsAnEventWithNone) {
  const PolicySet set = *PolicySet::Create(std::vector{ParseSpec("")});
  auto states = set.CarryOver({}, false);
  uint64_t last_id = 0;
  const EventView event{.seq = 1, .kind = v1::Event::KIND_EPOCH_END};
  const v1::Decision decision = set.Decide(
      event, "r", false, [](std::string_view) { return absl::OkStatus(); }, states, &last_id);
  EXPECT_EQ(decision.saves_size(), 1);
}

TEST(DecideTest, IsDeterministic) {
  const std::vector<std::string> specs = {"name: 'a' save_best_only: true filepath: '{x:.3e}'",
                                          "name: 'b' save_freq { number_value: 3 } verbose: 1"};
  Trainer one(specs);
  Trainer two(specs);
  for (int i = 0; i < 50; ++i) {
    const std::map<std::string, double> logs = {{"x", std::sin(i)}, {"val_loss", std::cos(i)}};
    EXPECT_EQ(one.BatchEnd(i % 7, logs).DebugString(), two.BatchEnd(i % 7, logs).DebugString());
    EXPECT_EQ(one.EpochEnd(i, logs).DebugString(), two.EpochEnd(i, logs).DebugString());
  }
  EXPECT_GT(one.last_checkpoint_id, 20);
}

// Nothing in a template can make a decision fail in another way than as an error.
TEST(DecideTest, HostileTemplates) {
  const std::string hostile[] = {
      "%s%n",
      "{loss:%n}",
      std::string(512, '{'),
      std::string(1024, '}'),
      "{loss:>1000000000}",
      "{epoch" + std::string(300, '[') + "}",
      "{loss:" + std::string(200, '{') + std::string(200, '}') + "}",
      "{loss.__class__.__init__.__globals__}",
      "{epoch.__class__}",
      "{loss!\xf0\x9f\x98\x80}",
      "\xe2\x80\xae{loss}",
  };
  for (const std::string& filepath : hostile) {
    v1::CheckpointPolicy spec = ParseSpec("");
    spec.set_filepath(filepath);
    const auto set = PolicySet::Create(std::vector{spec});
    if (!set.ok()) {
      EXPECT_EQ(ReasonOf(set.status()), v1::ERROR_REASON_PATH_TOO_LONG) << filepath;
      continue;
    }
    auto states = set->CarryOver({}, false);
    uint64_t last_id = 0;
    const Logs logs = MakeLogs({{"loss", 0.5}});
    const EventView event{.seq = 1, .kind = v1::Event::KIND_EPOCH_END, .logs = &logs};
    const v1::Decision decision = set->Decide(
        event, "r", false, [](std::string_view) { return absl::OkStatus(); }, states, &last_id);
    ASSERT_EQ(decision.policies_size(), 1);
    const bool saved = decision.policies(0).action() == kSave;
    EXPECT_NE(saved, decision.policies(0).has_error()) << filepath;
  }
}

}  // namespace
}  // namespace ckpt::policy
