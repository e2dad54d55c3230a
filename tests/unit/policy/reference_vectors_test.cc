// What the tests of the reference check, and its edge cases as observed by running it: K-T from its
// test suite, K-E about ranking, K-B about counting batches. Those about files and models are not
// the engine's business.

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>
#include <vector>

#include "server/policy/decide.h"
#include "tests/unit/policy/trainer.h"

namespace ckpt::policy {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
// Stands for a metric that the event does not have.
constexpr double kMissing = -12345;

// One letter for what a run of one policy decided: S save, - skip or nothing, W warning, X error.
char Letter(const v1::Decision& decision) {
  if (decision.policies_size() == 0) return '-';
  const v1::PolicyDecision& policy = decision.policies(0);
  if (policy.has_error()) return 'X';
  if (!policy.warning().empty()) return 'W';
  return policy.action() == v1::PolicyDecision::ACTION_SAVE ? 'S' : '-';
}

// Names of the files that were saved, in order.
std::string Files(const std::vector<v1::Decision>& decisions) {
  std::string files;
  for (const v1::Decision& decision : decisions) {
    for (const v1::PolicyDecision& policy : decision.policies()) {
      if (policy.action() != v1::PolicyDecision::ACTION_SAVE) continue;
      files += (files.empty() ? "" : " ") + policy.filepath();
    }
  }
  return files;
}

TEST(ReferenceVectorsTest, EpochEnds) {
  const struct {
    const char* id;
    const char* fields;
    const char* metric;
    std::vector<double> values;
    const char* want;
  } cases[] = {
      {"K-T1", "", "val_loss", {1}, "S"},
      {"K-T2", "mode: 'min'", "val_loss", {1}, "S"},
      {"K-T3", "mode: 'max' monitor: 'val_acc'", "val_acc", {0.1}, "S"},
      {"K-T4", "mode: 'max' monitor: 'val_acc' save_best_only: true", "val_acc", {0.1}, "S"},
      {"K-T5", "monitor: 'unknown' save_best_only: true", "val_loss", {1}, "W"},
      {"K-T13",
       "mode: 'max' monitor: 'val_acc' save_best_only: true initial_value_threshold: 0",
       "val_acc",
       {0.1},
       "S"},
      {"K-T14", "save_best_only: true", "val_loss", {1}, "S"},
      {"K-T15",
       "mode: 'min' save_best_only: true initial_value_threshold: 0",
       "val_loss",
       {1},
       "-"},
      {"K-T16", "save_best_only: true initial_value_threshold: 0", "val_loss", {1}, "-"},
      {"K-T26", "filepath: '{mape:.2f}.h5'", "val_loss", {1}, "X"},
      {"K-E1", "save_best_only: true", "val_loss", {kNan, .5, .4}, "-SS"},
      {"K-E2", "save_best_only: true", "val_loss", {.5, kNan, .4}, "S-S"},
      {"K-E3", "save_best_only: true", "val_loss", {kInf, kInf, .4}, "--S"},
      {"K-E4", "save_best_only: true", "val_loss", {-kInf, -1e9, -kInf}, "S--"},
      {"K-E5", "save_best_only: true", "val_loss", {.5, .5, .4999999}, "S-S"},
      {"K-E6", "save_best_only: true", "val_loss", {kMissing, .5, kMissing, .6}, "WSW-"},
      {"K-E7", "save_best_only: true monitor: 'foo'", "foo", {.1, .2}, "S-"},
      {"K-E8", "save_best_only: true monitor: 'val_auc'", "val_auc", {.1, .2}, "S-"},
      {"K-E9", "save_best_only: true monitor: 'foo'", "foo", {.2, .1}, "SS"},
      {"K-E10", "save_best_only: true monitor: 'fmeasure_x'", "fmeasure_x", {.1, .2}, "SS"},
      {"K-E11", "save_best_only: true monitor: 'val_fmeasure'", "val_fmeasure", {.1, .2}, "S-"},
      {"K-E12", "save_best_only: true initial_value_threshold: .3", "val_loss", {.3, .2}, "-S"},
      {"K-E13",
       "save_best_only: true initial_value_threshold: .35",
       "val_loss",
       {.4, .3, .2},
       "-SS"},
      {"K-E18", "save_best_only: true period: 2", "val_loss", {.9, .1, .8, .5, .4, .3}, "-S----"},
      {"K-E22", "save_best_only: true", "val_loss", {1, 2}, "S-"},
  };
  for (const auto& c : cases) {
    Trainer trainer(c.fields);
    std::string got;
    for (size_t i = 0; i < c.values.size(); ++i) {
      Trainer::Values logs;
      if (c.values[i] != kMissing) logs[c.metric] = c.values[i];
      trainer.EpochBegin(static_cast<int64_t>(i));
      got += Letter(trainer.EpochEnd(static_cast<int64_t>(i), logs));
    }
    EXPECT_EQ(got, c.want) << c.id;
  }
}

// K-E5: the message shows two values that print the same.
TEST(ReferenceVectorsTest, MessagesRoundToFiveDecimals) {
  Trainer trainer("save_best_only: true verbose: 1");
  trainer.EpochEnd(0, {{"val_loss", .5}});
  EXPECT_EQ(trainer.EpochEnd(1, {{"val_loss", .4999999}}).policies(0).message(),
            "Epoch 2: val_loss improved from 0.50000 to 0.50000, saving model to f");
}

// K-E20, on purpose unlike the reference: a save that fails gives its rank back.
TEST(ReferenceVectorsTest, AFailedWriteDoesNotKeepTheBest) {
  Trainer trainer("save_best_only: true");
  trainer.commit = false;
  trainer.EpochEnd(0, {{"val_loss", .5}});
  trainer.set.Failed("1", trainer.states);
  EXPECT_EQ(trainer.states[0].best(), kInf);
}

TEST(ReferenceVectorsTest, EpochFiles) {
  const struct {
    const char* id;
    const char* fields;
    int first;
    int epochs;
    const char* want;
  } cases[] = {
      {"K-T6", "period: 2", 0, 4, "02 04"},
      {"K-T8", "save_freq { string_value: 'epoch' } period: 5", 0, 10, "05 10"},
      {"K-T21", "save_weights_only: true", 0, 3, "01 02 03"},
      {"K-E19", "", 5, 2, "06 07"},
  };
  for (const auto& c : cases) {
    Trainer trainer(std::string("filepath: '{epoch:02d}' ") + c.fields);
    std::vector<v1::Decision> decisions;
    for (int i = c.first; i < c.first + c.epochs; ++i) {
      trainer.EpochBegin(i);
      decisions.push_back(trainer.EpochEnd(i, {{"val_loss", 1}}));
    }
    EXPECT_EQ(Files(decisions), c.want) << c.id;
  }
}

TEST(ReferenceVectorsTest, Constructor) {
  EXPECT_EQ(Policy::Create(ParseSpec("mode: 'unknown'"))->warnings().size(), 1);  // K-T7
  const absl::Status bad =                                                        // K-T10
      Policy::Create(ParseSpec("save_freq { string_value: 'invalid_save_freq' }")).status();
  EXPECT_TRUE(MessageOf(bad).starts_with("Unrecognized save_freq: invalid_save_freq."));
  EXPECT_TRUE(Policy::Create(ParseSpec("save_freq { string_value: 'epoch' }")).ok());
  EXPECT_TRUE(Policy::Create(ParseSpec("save_freq { number_value: 3 }")).ok());
}

// The indices of `count` batches reported `step` at a time.
std::vector<int64_t> Blocks(int64_t count, int64_t step) {
  std::vector<int64_t> indices;
  for (int64_t index = step - 1; index < count; index += step) indices.push_back(index);
  return indices;
}

std::vector<std::vector<int64_t>> Epochs(int count, const std::vector<int64_t>& indices) {
  return std::vector(count, indices);
}

TEST(ReferenceVectorsTest, BatchFiles) {
  const std::string all = "01-01 01-02 02-01 02-02 03-01 03-02 04-01 04-02 05-01 05-02";
  const struct {
    const char* id;
    const char* save_freq;
    std::vector<std::vector<int64_t>> epochs;
    std::string want;
  } cases[] = {
      {"K-T9", "number_value: 15", Epochs(10, Blocks(5, 1)), "03-05 06-05 09-05"},
      {"K-T12", "number_value: 1", Epochs(5, Blocks(2, 1)), all},
      {"K-B1", "number_value: 4", Epochs(3, Blocks(5, 1)), "01-04 02-03 03-02"},
      {"K-B2", "number_value: 3", Epochs(2, Blocks(12, 3)),
       "01-06 01-09 01-12 02-03 02-06 02-09 02-12"},
      {"K-B3", "number_value: 4", Epochs(2, Blocks(12, 2)), "01-06 01-10 02-02 02-06 02-10"},
      {"K-B4", "number_value: 6", Epochs(2, Blocks(12, 4)), "01-08 02-04 02-12"},
      {"K-B5", "number_value: 24", Epochs(3, Blocks(12, 12)), "03-12"},
      {"K-B6", "number_value: 8", {{3}, {7, 15}}, "02-16"},
      {"K-B7", "number_value: 5", Epochs(2, {2, 5, 8, 9}), "01-06 02-03 02-09"},
      {"K-B8 0", "number_value: 0", Epochs(5, Blocks(2, 1)), all},
      {"K-B8 -1", "number_value: -1", Epochs(5, Blocks(2, 1)), all},
      {"K-B8 True", "bool_value: true", Epochs(5, Blocks(2, 1)), all},
  };
  for (const auto& c : cases) {
    Trainer trainer("filepath: '{epoch:02d}-{batch:02d}' period: 100 save_freq { " +
                    std::string(c.save_freq) + " }");
    std::vector<v1::Decision> decisions;
    for (size_t epoch = 0; epoch < c.epochs.size(); ++epoch) {
      trainer.EpochBegin(static_cast<int64_t>(epoch));
      for (const int64_t batch : c.epochs[epoch]) {
        decisions.push_back(trainer.BatchEnd(batch, {{"loss", 1}}));
      }
      decisions.push_back(trainer.EpochEnd(static_cast<int64_t>(epoch), {{"loss", 1}}));
    }
    EXPECT_EQ(Files(decisions), c.want) << c.id;
  }
}

TEST(ReferenceVectorsTest, AMetricNamedBatchNamesTheFile) {  // K-B9
  Trainer trainer("filepath: '{batch}' save_freq { number_value: 1 }");
  const Logs logs = {{"batch", {99, true, 99}}};
  EXPECT_EQ(Files({trainer.Feed(v1::Event::KIND_BATCH_END, 0, 0, logs)}), "99");
}

TEST(ReferenceVectorsTest, BatchPoliciesThatKeepTheBest) {
  const struct {
    const char* id;
    const char* fields;
    const char* metric;
    std::vector<double> values;
    const char* want;
  } cases[] = {
      {"K-E14", "monitor: 'loss' mode: 'min'", "loss", {3, 2, 2.5, 1}, "SS-S"},
      {"K-E16", "monitor: 'val_loss'", "loss", {3}, "W"},
      {"K-E17", "monitor: 'loss' mode: 'min' initial_value_threshold: 5", "loss", {3}, "S"},
  };
  for (const auto& c : cases) {
    Trainer trainer(std::string("save_best_only: true save_freq { number_value: 1 } ") + c.fields);
    std::string got;
    for (size_t i = 0; i < c.values.size(); ++i) {
      got += Letter(trainer.BatchEnd(static_cast<int64_t>(i), {{c.metric, c.values[i]}}));
    }
    EXPECT_EQ(got, c.want) << c.id;
  }
}

}  // namespace
}  // namespace ckpt::policy
