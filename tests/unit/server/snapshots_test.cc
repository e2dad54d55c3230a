#include "server/run/snapshots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace ckpt::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Of policies as a map from name to how many it keeps.
v1::Checkpoint Save(int id, const std::map<std::string, int>& policies) {
  v1::Checkpoint save;
  save.set_name("runs/r/checkpoints/" + std::to_string(id));
  for (const auto& [policy, kept] : policies) {
    v1::Placement& placement = *save.add_placements();
    placement.set_policy(policy);
    placement.mutable_options()->set_placement(v1::StorageOptions::PLACEMENT_MEMORY);
    placement.mutable_options()->set_snapshots(kept);
  }
  return save;
}

class SnapshotsTest : public testing::Test {
 protected:
  std::vector<std::string> Hold(const v1::Checkpoint& save, const std::string& part = "weights",
                                int parts = 1) {
    return snapshots_.Hold(save, part, parts, [memory = memory_](std::shared_ptr<RunActor>) {});
  }
  // Parts whose memory is held.
  int64_t parts() const { return memory_.use_count() - 1; }

  const std::shared_ptr<int> memory_ = std::make_shared<int>();
  Snapshots snapshots_;
};

TEST_F(SnapshotsTest, EachPolicyKeepsItsNewest) {
  EXPECT_THAT(Hold(Save(9, {{"a", 0}, {"b", 2}})), IsEmpty());
  EXPECT_THAT(Hold(Save(10, {{"a", 0}})), IsEmpty()) << "b keeps 9";
  EXPECT_THAT(snapshots_.NewestOfEach(), ElementsAre("9", "10"));
  EXPECT_THAT(Hold(Save(11, {{"a", 0}})), ElementsAre("10"));
  EXPECT_THAT(Hold(Save(12, {{"b", 2}})), IsEmpty());
  EXPECT_THAT(Hold(Save(13, {{"b", 2}})), ElementsAre("9"));
  EXPECT_THAT(snapshots_.ids(), ElementsAre("11", "12", "13"));
  EXPECT_THAT(snapshots_.NewestOfEach(), ElementsAre("11", "13"));
  EXPECT_EQ(snapshots_.Newest(), "13");
  EXPECT_EQ(snapshots_.complete(), 3);
  EXPECT_EQ(parts(), 3) << "what was dropped holds no memory";
}

TEST_F(SnapshotsTest, OneThatIsNotCompleteCountsForNothing) {
  EXPECT_THAT(Hold(Save(1, {{"a", 1}})), IsEmpty());
  EXPECT_THAT(Hold(Save(2, {{"a", 1}}), "weights", 2), IsEmpty());
  EXPECT_EQ(snapshots_.Newest(), "1");
  EXPECT_THAT(Hold(Save(2, {{"a", 1}}), "weights", 2), IsEmpty()) << "the same part again";
  EXPECT_EQ(parts(), 2);
  EXPECT_THAT(Hold(Save(2, {{"a", 1}}), "optimizer", 2), ElementsAre("1"));
  EXPECT_EQ(snapshots_.Newest(), "2");
  EXPECT_THAT(snapshots_.Take("2"), SizeIs(2));
  EXPECT_EQ(snapshots_.Newest(), "");
  EXPECT_THAT(snapshots_.Take("2"), IsEmpty());
}

TEST_F(SnapshotsTest, OneThatIsCompleteTooLateIsNotKept) {
  EXPECT_THAT(Hold(Save(1, {{"a", 1}}), "weights", 2), IsEmpty());
  EXPECT_THAT(Hold(Save(2, {{"a", 1}})), IsEmpty());
  EXPECT_THAT(Hold(Save(1, {{"a", 1}}), "optimizer", 2), ElementsAre("1"));
}

TEST_F(SnapshotsTest, OlderOnesAreThoseOfNoOtherPolicy) {
  Hold(Save(1, {{"a", 4}}));
  Hold(Save(2, {{"a", 4}, {"b", 4}}));
  Hold(Save(4, {{"a", 4}}));
  EXPECT_THAT(snapshots_.OlderThan(Save(3, {{"a", 4}})), ElementsAre("1"));
  EXPECT_THAT(snapshots_.OlderThan(Save(5, {{"a", 4}, {"b", 4}})), ElementsAre("1", "2", "4"));
}

TEST_F(SnapshotsTest, CompleteOnesCanBeTakenOver) {
  Hold(Save(1, {{"a", 4}}));
  Hold(Save(2, {{"a", 4}}), "weights", 2);
  Snapshots left;
  left.TakeComplete(snapshots_);
  EXPECT_THAT(left.ids(), ElementsAre("1"));
  EXPECT_THAT(snapshots_.ids(), ElementsAre("2"));
  Hold(Save(2, {{"a", 4}}), "optimizer", 2);
  left.TakeComplete(snapshots_);
  EXPECT_THAT(left.ids(), ElementsAre("1", "2"));
  EXPECT_EQ(left.Newest(), "2");
}

TEST(IsSnapshotTest, SaysWhereASaveIsKept) {
  EXPECT_TRUE(IsSnapshot(Save(1, {{"a", 1}})));
  EXPECT_FALSE(IsSnapshot({}));
  v1::Checkpoint on_disk = Save(1, {{"a", 1}});
  on_disk.mutable_placements(0)->mutable_options()->clear_placement();
  EXPECT_FALSE(IsSnapshot(on_disk));
}

}  // namespace
}  // namespace ckpt::server
