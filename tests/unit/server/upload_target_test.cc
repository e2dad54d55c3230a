#include "server/run/upload_target.h"

#include <gtest/gtest.h>

#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

TEST(ReadUploadTargetTest, FillsInWhatMayBeLeftOut) {
  v1::Limits limits;
  limits.set_max_part_bytes(100);
  v1::UploadStart start;
  start.set_save("runs/r/checkpoints/7");
  auto target = ReadUploadTarget(start, limits);
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->run, "r");
  EXPECT_EQ(target->save, "7");
  EXPECT_EQ(target->stage_id, "");
  EXPECT_EQ(target->part, "weights");
  EXPECT_EQ(target->part_count, 1);
  start.mutable_staged()->set_run("runs/r");
  start.mutable_staged()->set_stage_id("s");
  start.set_part("optimizer");
  start.set_part_count(2);
  start.set_size(100);
  target = ReadUploadTarget(start, limits);
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->save, "");
  EXPECT_EQ(target->stage_id, "s");
  EXPECT_EQ(target->part, "optimizer");
  EXPECT_EQ(target->part_count, 2);
  EXPECT_EQ(target->size_hint, 100);
  start.set_size(101);
  EXPECT_EQ(ReasonOf(ReadUploadTarget(start, limits).status()), v1::ERROR_REASON_LIMIT_EXCEEDED);
}

}  // namespace
}  // namespace ckpt::server
