#include "client/ckptctl/progress_bar.h"

#include <gtest/gtest.h>

#include <sstream>

namespace ckpt::ctl {
namespace {

TEST(ProgressLineTest, Table) {
  EXPECT_EQ(ProgressLine("d@3", 0, 3 << 20, 0),
            "d@3 [                              ]   0%  0 B of 3.0 MiB");
  EXPECT_EQ(ProgressLine("d@3", 1 << 20, 2 << 20, 1536),
            "d@3 [###############               ]  50%  1.0 MiB of 2.0 MiB  1.5 KiB/s");
  EXPECT_EQ(ProgressLine("d@3", 0, 0, 0), "d@3 [##############################] 100%  0 B of 0 B");
}

TEST(ProgressBarTest, WritesOverItsLineAndEndsIt) {
  std::ostringstream out;
  {
    ProgressBar bar(out, "d@3");
    bar.Update(0, 10);
    bar.Update(10, 10);
  }
  EXPECT_TRUE(out.str().starts_with("\rd@3 ["));
  EXPECT_NE(out.str().find("\x1b[K\rd@3 ["), std::string::npos);
  EXPECT_TRUE(out.str().ends_with("\n"));
}

TEST(ProgressBarTest, SaysNothingUntilThereIsSomething) {
  std::ostringstream out;
  { const ProgressBar bar(out, "d@3"); }
  EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace ckpt::ctl
