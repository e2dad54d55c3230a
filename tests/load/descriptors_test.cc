#include <sys/resource.h>

#include <memory>
#include <vector>

#include "tests/load/load.h"

namespace ckpt::load {
namespace {

class DescriptorsTest : public LoadTest {};

// The daemon cannot take more connections or open more files; it says so, and goes on once it can.
TEST_F(DescriptorsTest, ALimitThatIsReachedIsSurvived) {
  ExpectService("before");
  const auto channel = Connect();
  wire::Trainer trainer(channel);
  v1::Hello hello;
  *hello.add_policies() = wire::BestPolicy();
  ASSERT_TRUE(trainer.Hello(hello).has_value());

  const auto decision = trainer.Epoch(1, 0, 0.5);
  ASSERT_TRUE(decision.has_value());
  ASSERT_EQ(decision->saves_size(), 1);

  rlimit before = {};
  ASSERT_EQ(prlimit(pid(), RLIMIT_NOFILE, nullptr, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = 3;  // not one more, below those that are open neither
  ASSERT_EQ(prlimit(pid(), RLIMIT_NOFILE, &tight, nullptr), 0);
  // The next decision looks at the name's place on disk, and the upload opens a file: both fail
  // with a reason, and neither ends the trainer's stream.
  const auto failed = trainer.Epoch(2, 1, 0.4);
  ASSERT_TRUE(failed.has_value());
  ASSERT_EQ(failed->policies_size(), 1);
  EXPECT_EQ(failed->policies(0).error().reason(), v1::ERROR_REASON_STORAGE_FAILED);
  wire::Upload refused(channel);
  EXPECT_FALSE(refused.Start(wire::ForSave(decision->saves(0).name())).has_value());
  EXPECT_EQ(wire::ReasonOf(refused.Status()), "STORAGE_FAILED");

  ASSERT_EQ(prlimit(pid(), RLIMIT_NOFILE, &before, nullptr), 0);
  const std::string content = "weights";
  wire::Upload upload(channel);
  ASSERT_TRUE(upload.Start(wire::ForSave(decision->saves(0).name())).has_value());
  ASSERT_TRUE(upload.Chunk(0, content));
  EXPECT_TRUE(upload.FinishWith(content).has_value());
  ExpectService("after");
}

}  // namespace
}  // namespace ckpt::load
