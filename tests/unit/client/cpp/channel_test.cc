#include "client/cpp/src/channel.h"

#include <gtest/gtest.h>
#include <stdlib.h>

namespace ckpt::client {
namespace {

class ServerOrDefaultTest : public ::testing::Test {
 protected:
  void SetUp() override { unsetenv("CKPT_SERVER"); }
  void TearDown() override { unsetenv("CKPT_SERVER"); }
};

TEST_F(ServerOrDefaultTest, WhatIsGivenWins) {
  setenv("CKPT_SERVER", "other:1", 1);
  EXPECT_EQ(ServerOrDefault("unix:/run/ckptd.sock"), "unix:/run/ckptd.sock");
}

TEST_F(ServerOrDefaultTest, ThenTheEnvironment) {
  setenv("CKPT_SERVER", "other:1", 1);
  EXPECT_EQ(ServerOrDefault(""), "other:1");
}

TEST_F(ServerOrDefaultTest, ThenThePortOfCkptd) {
  EXPECT_EQ(ServerOrDefault(""), "127.0.0.1:7070");
  setenv("CKPT_SERVER", "", 1);
  EXPECT_EQ(ServerOrDefault(""), "127.0.0.1:7070");
}

}  // namespace
}  // namespace ckpt::client
