#include "client/ckptctl/text.h"

#include <gtest/gtest.h>

#include <limits>

namespace ckpt::ctl {
namespace {

TEST(TextTest, EscapedCannotCommandATerminal) {
  EXPECT_EQ(Escaped("val/loss größe 损失"), "val/loss größe 损失");
  EXPECT_EQ(Escaped("a\nb\tc"), "a\\nb\\tc");
  EXPECT_EQ(Escaped("\x1b[31mred\x7f"), "\\x1b[31mred\\x7f");
  EXPECT_EQ(Escaped("\xC2\x9B"
                    "31m"),
            "\\xc2\\x9b31m")
      << "a C1 control";
  EXPECT_EQ(Escaped("bad \xff utf8 \xE6\x8D"), "bad \\xff utf8 \\xe6\\x8d");
  EXPECT_EQ(Escaped(std::string("nul\0x", 5)), "nul\\x00x");
}

TEST(TextTest, WidthCountsCodePoints) {
  EXPECT_EQ(DisplayWidth("größe"), 5u);
  EXPECT_EQ(DisplayWidth(""), 0u);
}

TEST(TextTest, HumanBytes) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes((1 << 20) - 1), "1.0 MiB");
  EXPECT_EQ(HumanBytes(std::numeric_limits<int64_t>::max()), "8192.0 PiB");
}

TEST(TextTest, Numbers) {
  EXPECT_EQ(HumanNumber(0.1234567), "0.123457");
  EXPECT_EQ(ExactNumber(0.1), "0.1");
  EXPECT_EQ(ExactNumber(1.0 / 3), "0.3333333333333333");
  EXPECT_EQ(HumanNumber(std::numeric_limits<double>::infinity()), "inf");
}

TEST(TextTest, Times) {
  google::protobuf::Timestamp time;
  EXPECT_EQ(HumanTime(time), "");
  EXPECT_EQ(ExactTime(time), "");
  time.set_seconds(1'795'458'420);
  time.set_nanos(120'000'000);
  EXPECT_EQ(HumanTime(time), "2026-11-23 18:27:00Z");
  EXPECT_EQ(ExactTime(time), "2026-11-23T18:27:00.120Z");
}

}  // namespace
}  // namespace ckpt::ctl
