#include "client/ckptctl/target.h"

#include <gtest/gtest.h>

#include "storage/base/errors.h"

namespace ckpt::ctl {
namespace {

TEST(ParseTargetTest, WhatPeopleType) {
  struct Case {
    const char* text;
    const char* run;
    const char* id;
  };
  for (const Case& good :
       {Case{"digits", "digits", ""}, Case{"digits@12", "digits", "12"},
        Case{"digits@best", "digits", "best"}, Case{"digits@best:top.1", "digits", "best:top.1"},
        Case{"d.1-x_y@latest", "d.1-x_y", "latest"}, Case{"runs/digits", "digits", ""},
        Case{"runs/digits/checkpoints/3", "digits", "3"}}) {
    const auto target = ParseTarget(good.text);
    ASSERT_TRUE(target.ok()) << good.text << ": " << target.status();
    EXPECT_EQ(target->run, good.run);
    EXPECT_EQ(target->id, good.id);
  }
}

TEST(ParseTargetTest, WhatIsNoTarget) {
  for (const char* bad : {"", "@", "digits@", "@best", "digits@03", "digits@worst", "a b", "a/b",
                          "digits@best:", "digits@1@2", "runs/", "../x"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseTarget(bad).status())) << bad;
  }
}

TEST(TargetOfTest, GoesThereAndBack) {
  EXPECT_EQ(TargetOfRun("runs/digits"), "digits");
  EXPECT_EQ(TargetOfCheckpoint("runs/digits/checkpoints/12"), "digits@12");
  EXPECT_EQ(ParseTarget(TargetOfCheckpoint("runs/digits/checkpoints/12"))->id, "12");
  EXPECT_EQ(TargetOfCheckpoint("odd"), "odd");
}

}  // namespace
}  // namespace ckpt::ctl
