#include "client/cpp/src/print.h"

#include <gtest/gtest.h>

namespace ckpt::client {
namespace {

TEST(PrintDecisionTest, WordsGoToOutputAndTroubleToError) {
  v1::Decision decision;
  decision.add_policies()->set_message("Epoch 1: saving model to a.ckpt");
  decision.add_policies()->set_warning("Can save best model only with val_loss available.");
  v1::PolicyDecision* failed = decision.add_policies();
  failed->set_policy("best");
  failed->mutable_error()->set_message("no metric 'auc'");
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  PrintDecision(decision);
  PrintNotice("gone");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "\nEpoch 1: saving model to a.ckpt\n");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "WARNING: Can save best model only with val_loss available.\n"
            "ERROR: policy 'best': no metric 'auc'\n"
            "ckpt: gone\n");
}

}  // namespace
}  // namespace ckpt::client
