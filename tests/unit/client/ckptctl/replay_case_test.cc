#include "client/ckptctl/replay_case.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "storage/base/errors.h"

namespace ckpt::ctl {
namespace {

using ::testing::HasSubstr;

TEST(ParseReplayCaseTest, ReadsACase) {
  const auto replay =
      ParseReplayCase(R"({"id":"k-1","policy":{"filepath":"w{epoch}","monitor":"auc",
      "verbose":2,"save_best_only":true,"save_weights_only":true,"mode":"max","save_freq":5,
      "initial_value_threshold":"-Infinity","period":3,"options":null},"init":{"warnings":[]},
      "events":[{"type":"train_begin"},{"type":"epoch_begin","epoch":1},
        {"type":"batch_end","epoch":1,"batch":4,"logs":{"loss":0.5,"step":7,"auc":"NaN"}},
        {"type":"epoch_end","epoch":1,"logs":{}},{"type":"train_end"}],"expect":[1,2]})");
  ASSERT_TRUE(replay.ok()) << replay.status();
  EXPECT_EQ(replay->id, "k-1");
  const v1::CheckpointPolicy& policy = replay->policy;
  EXPECT_EQ(policy.name(), "replay");
  EXPECT_EQ(policy.filepath(), "w{epoch}");
  EXPECT_EQ(policy.monitor(), "auc");
  EXPECT_EQ(policy.mode(), "max");
  EXPECT_EQ(policy.verbose(), 1);
  EXPECT_TRUE(policy.save_best_only());
  EXPECT_TRUE(policy.save_weights_only());
  EXPECT_EQ(policy.save_freq().number_value(), 5);
  EXPECT_EQ(policy.initial_value_threshold(), -INFINITY);
  EXPECT_EQ(policy.period(), 3);
  ASSERT_EQ(replay->events.size(), 5u);
  EXPECT_EQ(replay->events[1].epoch, 1);
  const ReplayEvent& batch = replay->events[2];
  EXPECT_EQ(batch.kind, v1::Event::KIND_BATCH_END);
  EXPECT_EQ(batch.batch, 4);
  ASSERT_EQ(batch.logs.size(), 3u);
  EXPECT_EQ(batch.logs[0].name, "loss") << "in the order of the file";
  EXPECT_FALSE(batch.logs[0].is_integer);
  EXPECT_TRUE(batch.logs[1].is_integer);
  EXPECT_EQ(batch.logs[1].integer, 7);
  EXPECT_TRUE(std::isnan(batch.logs[2].value));
}

TEST(ParseReplayCaseTest, WhatIsAbsentStaysUnset) {
  const auto replay = ParseReplayCase(
      R"({"id":"k","policy":{"filepath":"f","initial_value_threshold":null},"events":[]})");
  ASSERT_TRUE(replay.ok()) << replay.status();
  EXPECT_FALSE(replay->policy.has_save_freq());
  EXPECT_FALSE(replay->policy.has_initial_value_threshold());
  EXPECT_FALSE(replay->policy.has_period());
}

TEST(ParseReplayCaseTest, AnySaveFreqGoesToTheDaemon) {
  const auto freq = [](const std::string& json) {
    return ParseReplayCase(R"({"id":"k","policy":{"save_freq":)" + json + R"(},"events":[]})")
        ->policy.save_freq();
  };
  EXPECT_EQ(freq("\"weekly\"").string_value(), "weekly");
  EXPECT_EQ(freq("-5").number_value(), -5);
  EXPECT_TRUE(freq("true").bool_value());
  // What the callback refuses, and would be taken as a number or as nothing.
  EXPECT_EQ(freq("2.0").string_value(), "2.0");
  EXPECT_EQ(freq("null").string_value(), "None");
}

TEST(ParseReplayCaseTest, IsAsLenientAsTheCallback) {
  const auto replay = ParseReplayCase(
      R"({"id":"k","policy":{"filepath":"f","verbose":true,"period":true,"colour":1},
      "events":[{"type":"epoch_end","epoch":0,"logs":null}]})");
  ASSERT_TRUE(replay.ok()) << replay.status();
  EXPECT_EQ(replay->policy.verbose(), 1);
  EXPECT_EQ(replay->policy.period(), 1);
  EXPECT_TRUE(replay->events.at(0).logs.empty());
}

struct Malformed {
  const char* line;
  const char* message;
};

TEST(ParseReplayCaseTest, MalformedLinesSayWhatIsWrong) {
  for (const Malformed& bad : {
           Malformed{"", "not a JSON object"},
           {"[1]", "not a JSON object"},
           {"{\"id\":", "not a JSON object"},
           {R"({"policy":{},"events":[]})", "no 'id'"},
           {R"({"id":7,"policy":{},"events":[]})", "no 'id'"},
           {R"({"id":"k","events":[]})", "no 'policy'"},
           {R"({"id":"k","policy":[],"events":[]})", "'policy' is not an object"},
           {R"({"id":"k","policy":{"mode":""},"events":[]})", "'mode' cannot be \"\""},
           {R"({"id":"k","policy":{"period":1.5},"events":[]})", "'period' cannot be 1.5"},
           {R"({"id":"k","policy":{"load_weights_on_restart":false},"events":[]})",
            "'load_weights_on_restart' cannot be false"},
           {R"({"id":"k","policy":{"monitor":1},"events":[]})", "'monitor' cannot be 1"},
           {R"({"id":"k","policy":{"save_best_only":1},"events":[]})",
            "'save_best_only' cannot be 1"},
           {R"({"id":"k","policy":{}})", "no list 'events'"},
           {R"({"id":"k","policy":{},"events":[7]})", "event 0: it is not an object"},
           {R"({"id":"k","policy":{},"events":[{}]})", "event 0: it has no 'type'"},
           {R"({"id":"k","policy":{},"events":[{"type":"nap"}]})", "its type is \"nap\""},
           {R"({"id":"k","policy":{},"events":[{"type":"epoch_end"}]})", "no whole number 'epoch'"},
           {R"({"id":"k","policy":{},"events":[{"type":"batch_end","batch":1.5}]})",
            "no whole number 'batch'"},
           {R"({"id":"k","policy":{},"events":[{"type":"train_end","logs":{"a":"x"}}]})",
            "metric 'a' is \"x\""},
       }) {
    const absl::Status status = ParseReplayCase(bad.line).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad.line;
    EXPECT_THAT(std::string(MessageOf(status)), HasSubstr(bad.message)) << bad.line;
  }
}

}  // namespace
}  // namespace ckpt::ctl
