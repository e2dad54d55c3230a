#include "server/run/configured_policies.h"

#include <gmock/gmock.h>

#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

using testing::ElementsAre;
using testing::Property;

v1::DaemonConfig Config() {
  v1::DaemonConfig config;
  for (const char* name : {"best", "often"}) {
    v1::CheckpointPolicy* policy = config.add_policies();
    policy->set_name(name);
    policy->set_filepath(name);
  }
  v1::PolicyRule* digits = config.add_rules();
  digits->set_runs("digits-?");
  digits->add_policies("often");
  v1::PolicyRule* all = config.add_rules();
  all->set_runs("*");
  all->add_policies("best");
  all->add_policies("often");
  return config;
}

auto Named(const char* name) { return Property(&v1::CheckpointPolicy::name, name); }

TEST(ConfiguredPoliciesTest, TheFirstMatchingRuleDecides) {
  const auto configured = ConfiguredPolicies::Create(Config());
  ASSERT_TRUE(configured.ok()) << configured.status();
  EXPECT_THAT(*configured->For("digits-1", {}), ElementsAre(Named("often")));
  EXPECT_THAT(*configured->For("digits-12", {}), ElementsAre(Named("best"), Named("often")));
}

TEST(ConfiguredPoliciesTest, TheTrainersWishesComeFirst) {
  const auto configured = ConfiguredPolicies::Create(Config());
  ASSERT_TRUE(configured.ok());
  v1::Hello hello;
  hello.add_policies()->set_name("own");
  hello.add_policy_names("best");
  EXPECT_THAT(*configured->For("digits-1", hello), ElementsAre(Named("own"), Named("best")));
  hello.add_policy_names("nope");
  EXPECT_EQ(ReasonOf(configured->For("digits-1", hello).status()),
            v1::ERROR_REASON_POLICY_NOT_FOUND);
}

TEST(ConfiguredPoliciesTest, WithoutConfigurationNobodySaysAnything) {
  EXPECT_TRUE(ConfiguredPolicies().For("r", {})->empty());
}

}  // namespace
}  // namespace ckpt::server
