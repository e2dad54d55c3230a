#include "client/ckptctl/replay_result.h"

#include <gtest/gtest.h>

#include <cmath>

#include "storage/base/errors.h"

namespace ckpt::ctl {
namespace {

v1::Decision Decided(v1::PolicyDecision policy) {
  v1::Decision decision;
  *decision.add_policies() = std::move(policy);
  return decision;
}

TEST(ReplayResultTest, AnEmptyCase) {
  EXPECT_EQ(ReplayResult("k").ToLine(), R"({"id":"k","init":{"warnings":[]},"got":[]})");
}

TEST(ReplayResultTest, WhatEventsShow) {
  ReplayResult result("k");
  result.SetWarnings({"`period` argument is deprecated."});
  v1::PolicyDecision save;
  save.set_action(v1::PolicyDecision::ACTION_SAVE);
  save.set_payload(v1::Checkpoint::PAYLOAD_WEIGHTS);
  save.set_filepath("w1");
  save.set_message("Epoch 1: saving model to w1");
  save.set_best(0.5);
  result.AddDecision(3, Decided(save));
  v1::PolicyDecision quiet;
  quiet.set_action(v1::PolicyDecision::ACTION_SKIP);
  result.AddDecision(4, Decided(quiet));
  result.AddDecision(5, v1::Decision());
  v1::PolicyDecision warned = quiet;
  warned.set_warning("Can save best model only with auc available, skipping.");
  warned.set_best(-INFINITY);
  result.AddDecision(6, Decided(warned));
  v1::PolicyDecision failed;
  failed.set_action(v1::PolicyDecision::ACTION_ERROR);
  failed.mutable_error()->set_reason(v1::ERROR_REASON_TEMPLATE_KEY);
  failed.set_best(NAN);
  result.AddDecision(7, Decided(failed));
  EXPECT_EQ(
      result.ToLine(),
      R"({"id":"k","init":{"warnings":["`period` argument is deprecated."]},"got":[)"
      R"({"event":3,"action":"save","payload":"weights","filepath":"w1",)"
      R"("message":"Epoch 1: saving model to w1","best":0.5},)"
      R"({"event":6,"warning":"Can save best model only with auc available, skipping.","best":"-Infinity"},)"
      R"({"event":7,"error":"KeyError","best":"NaN"}]})");
}

TEST(ReplayResultTest, AConstructorThatRaises) {
  ReplayResult result("k");
  ASSERT_TRUE(result.SetInitError(SaveFreqInvalid("replay", "weekly")));
  EXPECT_EQ(
      result.ToLine(),
      R"({"id":"k","init":{"init_error":"ValueError","init_message":)"
      R"("Unrecognized save_freq: weekly. Expected save_freq are \"epoch\" or integer"},"got":[]})");
  EXPECT_FALSE(ReplayResult("k").SetInitError(RunExists("k"))) << "not about the policy";
}

TEST(ReplayResultTest, APolicyThatOnlyCkptdRefuses) {
  ReplayResult result("k");
  ASSERT_TRUE(result.SetInitError(
      MakeError(v1::ERROR_REASON_PATH_ESCAPES, "it is absolute", {{"policy", "replay"}})));
  EXPECT_EQ(result.ToLine(), R"({"id":"k","init":{"init_error":"ERROR_REASON_PATH_ESCAPES",)"
                             R"("init_message":"it is absolute"},"got":[]})");
}

TEST(PythonExceptionTest, Table) {
  EXPECT_EQ(PythonException(v1::ERROR_REASON_TEMPLATE_KEY), "KeyError");
  EXPECT_EQ(PythonException(v1::ERROR_REASON_TEMPLATE_VALUE), "ValueError");
  EXPECT_EQ(PythonException(v1::ERROR_REASON_SAVE_FREQ_INVALID), "ValueError");
  EXPECT_EQ(PythonException(v1::ERROR_REASON_TEMPLATE_INDEX), "IndexError");
  EXPECT_EQ(PythonException(v1::ERROR_REASON_TEMPLATE_TYPE), "TypeError");
  EXPECT_EQ(PythonException(v1::ERROR_REASON_TEMPLATE_ATTRIBUTE), "AttributeError");
  EXPECT_EQ(PythonException(v1::ERROR_REASON_PATH_ESCAPES), "");
}

}  // namespace
}  // namespace ckpt::ctl
