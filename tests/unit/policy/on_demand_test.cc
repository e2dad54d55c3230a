#include "server/policy/on_demand.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "storage/base/errors.h"
#include "tests/unit/policy/trainer.h"

namespace ckpt::policy {
namespace {

absl::Status AnyName(std::string_view /*filepath*/) { return absl::OkStatus(); }

TEST(OnDemandTest, TakesWhatThePoliciesTakeUnderANameOfItsOwn) {
  const struct {
    std::vector<std::string> policies;
    v1::Checkpoint::Payload payload;
    std::string filepath;
  } kCases[] = {
      {{}, v1::Checkpoint::PAYLOAD_FULL, "on-demand/8"},
      {{"filepath: 'w{epoch}'"}, v1::Checkpoint::PAYLOAD_FULL, "on-demand/8"},
      {{"filepath: 'a.b/w{epoch:.3f}'"}, v1::Checkpoint::PAYLOAD_FULL, "on-demand/8"},
      {{"filepath: 'best.keras'"}, v1::Checkpoint::PAYLOAD_FULL, "on-demand/8.keras"},
      {{"filepath: 'w.{epoch}-{val_loss:.2f}.weights.h5' save_weights_only: true"},
       v1::Checkpoint::PAYLOAD_WEIGHTS,
       "on-demand/8.weights.h5"},
      {{"filepath: 'w.h5' save_weights_only: true", "name: 'b' filepath: '{epoch}.keras'"},
       v1::Checkpoint::PAYLOAD_FULL,
       "on-demand/8.keras"},
      {{"filepath: 'w.0123456789012345678901234567890'"},
       v1::Checkpoint::PAYLOAD_FULL,
       "on-demand/8.0123456789012345678901234567890"},
      {{"filepath: 'w.01234567890123456789012345678901'"},
       v1::Checkpoint::PAYLOAD_FULL,
       "on-demand/8"},
  };
  for (const auto& test : kCases) {
    std::vector<v1::CheckpointPolicy> specs;
    for (const std::string& policy : test.policies) specs.push_back(ParseSpec(policy));
    const PolicySet set = *PolicySet::Create(specs);
    const std::vector<v1::PolicyState> states = set.CarryOver({}, false);
    uint64_t last_id = 7;
    const auto decision = DecideOnDemand(set, "r", 3, AnyName, states, &last_id);
    ASSERT_TRUE(decision.ok()) << decision.status();
    EXPECT_EQ(last_id, 8u);
    EXPECT_EQ(decision->seq(), 0u);
    ASSERT_EQ(decision->saves_size(), 1);
    const v1::Checkpoint& save = decision->saves(0);
    EXPECT_EQ(save.name(), "runs/r/checkpoints/8");
    EXPECT_EQ(save.state(), v1::Checkpoint::STATE_SAVING);
    EXPECT_EQ(save.payload(), test.payload) << test.filepath;
    EXPECT_EQ(save.epoch(), 3);
    EXPECT_EQ(save.policy_states_size(), static_cast<int>(states.size()));
    ASSERT_EQ(save.placements_size(), 1);
    EXPECT_EQ(save.placements(0).policy(), "on-demand");
    EXPECT_EQ(save.placements(0).filepath(), test.filepath);
  }
}

TEST(OnDemandTest, ANameThatIsBlockedTakesNoId) {
  uint64_t last_id = 7;
  const auto blocked = [](std::string_view filepath) {
    EXPECT_EQ(filepath, "on-demand/8");
    return FieldInvalid("filepath", filepath, "there is a link in the way");
  };
  const auto decision = DecideOnDemand({}, "r", 0, blocked, {}, &last_id);
  EXPECT_EQ(ReasonOf(decision.status()), v1::ERROR_REASON_FIELD_INVALID);
  EXPECT_EQ(last_id, 7u);
}

}  // namespace
}  // namespace ckpt::policy
