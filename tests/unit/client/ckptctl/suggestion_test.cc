#include "client/ckptctl/suggestion.h"

#include <gtest/gtest.h>

namespace ckpt::ctl {
namespace {

TEST(SuggestTest, TheNearestWord) {
  const std::vector<std::string> commands = {"runs", "list",   "best",   "show",
                                             "rm",   "status", "replay", "fetch"};
  EXPECT_EQ(Suggest("lst", commands), "list");
  EXPECT_EQ(Suggest("satus", commands), "status");
  EXPECT_EQ(Suggest("run", commands), "runs");
  EXPECT_EQ(Suggest("fe", commands), "fetch") << "a beginning";
  EXPECT_EQ(Suggest("download", commands), "");
  EXPECT_EQ(Suggest("x", commands), "");
}

}  // namespace
}  // namespace ckpt::ctl
