#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "server/policy/decide.h"
#include "tests/unit/policy/trainer.h"

namespace ckpt::policy {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(PolicyTest, Defaults) {
  const Policy policy = *Policy::Create(ParseSpec(""));
  EXPECT_EQ(policy.monitor(), "val_loss");
  EXPECT_FALSE(policy.maximize());
  EXPECT_TRUE(policy.every_epoch());
  EXPECT_EQ(policy.period(), 1);
  EXPECT_EQ(policy.payload(), v1::Checkpoint::PAYLOAD_FULL);
  EXPECT_TRUE(policy.warnings().empty());
  EXPECT_EQ(policy.InitialState().policy(), "p");
  EXPECT_EQ(policy.InitialState().best(), kInfinity);
}

TEST(PolicyTest, Direction) {
  const struct {
    const char* mode;
    const char* monitor;
    bool maximize;
  } cases[] = {
      {"min", "acc", false},           {"max", "loss", true},
      {"auto", "loss", false},         {"", "loss", false},
      {"auto", "val_acc", true},       {"", "sparse_categorical_accuracy", true},
      {"auto", "inaccurate_x", true},  {"auto", "fmeasure_x", true},
      {"auto", "val_fmeasure", false}, {"auto", "my_fmeasure", false},
      {"auto", "val_auc", false},      {"auto", "f1", false},
      {"auto", "Accuracy", false},     {"MAX", "loss", false},
      {"unknown", "acc", true},
  };
  for (const auto& c : cases) {
    v1::CheckpointPolicy spec = ParseSpec("");
    spec.set_mode(c.mode);
    spec.set_monitor(c.monitor);
    EXPECT_EQ(Policy::Create(spec)->maximize(), c.maximize) << c.mode << " " << c.monitor;
  }
}

TEST(PolicyTest, WarningsAreTheConstructors) {
  using Warnings = std::vector<std::string>;
  const std::string period =
      "`period` argument is deprecated. Please use `save_freq` to specify the frequency in number "
      "of batches seen.";
  const std::string mode = "ModelCheckpoint mode Max is unknown, fallback to auto mode.";
  EXPECT_EQ(Policy::Create(ParseSpec("period: 1"))->warnings(), Warnings{period});
  EXPECT_EQ(Policy::Create(ParseSpec("mode: 'Max'"))->warnings(), Warnings{mode});
  EXPECT_EQ(Policy::Create(ParseSpec("mode: 'Max' period: 2"))->warnings(),
            (Warnings{period, mode}));
  for (const char* known : {"mode: 'min'", "mode: 'max'", "mode: 'auto'", "mode: ''"}) {
    EXPECT_EQ(Policy::Create(ParseSpec(known))->warnings(), Warnings{}) << known;
  }
}

TEST(PolicyTest, Threshold) {
  EXPECT_EQ(Policy::Create(ParseSpec("mode: 'max'"))->InitialState().best(), -kInfinity);
  for (const char* mode : {"mode: 'min'", "mode: 'max'"}) {
    const std::string fields = std::string(mode) + " initial_value_threshold: 0";
    EXPECT_EQ(Policy::Create(ParseSpec(fields))->InitialState().best(), 0) << mode;
  }
  const Policy nan = *Policy::Create(ParseSpec("initial_value_threshold: nan"));
  EXPECT_TRUE(std::isnan(nan.InitialState().best()));
  EXPECT_FALSE(nan.Better(0, nan.InitialState().best()));
}

TEST(PolicyTest, BetterIsStrict) {
  const Policy min = *Policy::Create(ParseSpec("mode: 'min'"));
  EXPECT_TRUE(min.Better(0.4, 0.5));
  EXPECT_FALSE(min.Better(0.5, 0.5));
  EXPECT_FALSE(min.Better(std::nan(""), 0.5));
  EXPECT_TRUE(min.Better(-kInfinity, 0));
  EXPECT_FALSE(min.Better(kInfinity, kInfinity));
  const Policy max = *Policy::Create(ParseSpec("mode: 'max'"));
  EXPECT_TRUE(max.Better(0.6, 0.5));
  EXPECT_FALSE(max.Better(0.5, 0.5));
  EXPECT_FALSE(max.Better(std::nan(""), 0.5));
}

TEST(PolicyTest, EffectiveBestCountsSavesOnTheirWay) {
  const Policy policy = *Policy::Create(ParseSpec("save_best_only: true"));
  v1::PolicyState state = policy.InitialState();
  state.set_best(3);
  EXPECT_EQ(policy.EffectiveBest(state), 3);
  state.add_open_saves()->set_checkpoint_id("1");  // not ranked
  EXPECT_EQ(policy.EffectiveBest(state), 3);
  state.add_open_saves()->set_value(2);
  state.add_open_saves()->set_value(2.5);
  EXPECT_EQ(policy.EffectiveBest(state), 2);
}

TEST(PolicyTest, Payload) {
  EXPECT_EQ(Policy::Create(ParseSpec("save_weights_only: true"))->payload(),
            v1::Checkpoint::PAYLOAD_WEIGHTS);
}

TEST(PolicyTest, SaveFrequency) {
  const Policy policy = *Policy::Create(ParseSpec("save_freq { number_value: 15 }"));
  EXPECT_FALSE(policy.every_epoch());
  EXPECT_EQ(policy.every_n_batches(), 15);
}

TEST(PolicyTest, RefusesBadSpecs) {
  const struct {
    std::string fields;
    v1::ErrorReason reason;
  } cases[] = {
      {"name: ''", v1::ERROR_REASON_NAME_INVALID},
      {"name: 'a b'", v1::ERROR_REASON_NAME_INVALID},
      {"name: '" + std::string(65, 'a') + "'", v1::ERROR_REASON_NAME_INVALID},
      {"filepath: ''", v1::ERROR_REASON_FIELD_INVALID},
      {"monitor: '" + std::string(257, 'm') + "'", v1::ERROR_REASON_FIELD_INVALID},
      {"monitor: 'a\\033[2J'", v1::ERROR_REASON_FIELD_INVALID},
      {"mode: '" + std::string(65, 'm') + "'", v1::ERROR_REASON_FIELD_INVALID},
      {"mode: 'min\\n'", v1::ERROR_REASON_FIELD_INVALID},
      {"options { projection: 77 }", v1::ERROR_REASON_FIELD_INVALID},
      {"options { acknowledge: -1 }", v1::ERROR_REASON_FIELD_INVALID},
      {"options { placement: 3 }", v1::ERROR_REASON_FIELD_INVALID},
      {"options { snapshots: 1 }", v1::ERROR_REASON_FIELD_INVALID},
      {"options { placement: PLACEMENT_DISK snapshots: 1 }", v1::ERROR_REASON_FIELD_INVALID},
      {"options { placement: PLACEMENT_MEMORY snapshots: 17 }", v1::ERROR_REASON_FIELD_INVALID},
      {"options { placement: PLACEMENT_MEMORY snapshots: -1 }", v1::ERROR_REASON_FIELD_INVALID},
      {"save_freq { string_value: 'weekly' }", v1::ERROR_REASON_SAVE_FREQ_INVALID},
      {"filepath: '../a'", v1::ERROR_REASON_PATH_ESCAPES},
      {"filepath: '" + std::string(1025, 'a') + "'", v1::ERROR_REASON_PATH_TOO_LONG},
  };
  for (const auto& c : cases) {
    const absl::Status status = Policy::Create(ParseSpec(c.fields)).status();
    EXPECT_EQ(ReasonOf(status), c.reason) << c.fields << status;
    EXPECT_LT(MessageOf(status).size(), 400) << c.fields;
  }
}

TEST(PolicyTest, ErrorsNameThePolicyAndTheField) {
  const absl::Status status = Policy::Create(ParseSpec("monitor: 'a\\n'")).status();
  EXPECT_EQ(MetadataOf(status).at("policy"), "p");
  EXPECT_EQ(MetadataOf(status).at("field"), "monitor");
  EXPECT_TRUE(MessageOf(status).starts_with("policy 'p': monitor")) << status;
}

TEST(PolicyTest, AMalformedTemplateIsAccepted) {
  EXPECT_TRUE(Policy::Create(ParseSpec("filepath: 'bad{epoch:02d'")).ok());
}

}  // namespace
}  // namespace ckpt::policy
