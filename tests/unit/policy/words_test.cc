#include "server/policy/words.h"

#include <gtest/gtest.h>

#include <limits>

namespace ckpt::policy {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(WordsTest, AreThoseOfTheReference) {
  EXPECT_EQ(SavingMessage(0, "a.h5"), "Epoch 1: saving model to a.h5");
  EXPECT_EQ(ImprovedMessage(9, "val_loss", kInfinity, 0.25, "a.h5"),
            "Epoch 10: val_loss improved from inf to 0.25000, saving model to a.h5");
  EXPECT_EQ(NotImprovedMessage(1, "acc", 0.123456), "Epoch 2: acc did not improve from 0.12346");
  EXPECT_EQ(MetricMissingWarning("auc"), "Can save best model only with auc available, skipping.");
  EXPECT_EQ(UnknownModeWarning("most"),
            "ModelCheckpoint mode most is unknown, fallback to auto mode.");
  EXPECT_EQ(PeriodWarning(),
            "`period` argument is deprecated. Please use `save_freq` to specify the frequency in "
            "number of batches seen.");
}

}  // namespace
}  // namespace ckpt::policy
