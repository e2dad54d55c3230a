// The recorded cases of the reference callback, played to the policy engine itself.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/policy/decide.h"
#include "tests/conformance/replay.h"

namespace ckpt::policy {
namespace {

class Engine : public conformance::Subject {
 public:
  absl::StatusOr<std::vector<std::string>> Start(const std::string& run,
                                                 const v1::CheckpointPolicy& policy) override {
    absl::StatusOr<PolicySet> set = PolicySet::Create(std::vector{policy});
    if (!set.ok()) return set.status();
    set_ = *std::move(set);
    run_ = run;
    states_ = set_.CarryOver({}, false);
    return set_.policies()[0].warnings();
  }

  absl::StatusOr<v1::Decision> Feed(const conformance::CaseEvent& event) override {
    Logs logs;
    for (const conformance::Metric& metric : event.logs) {
      logs[metric.name] = {metric.number, metric.integer.has_value(), metric.integer.value_or(0)};
    }
    const EventView view{++seq_, event.kind, event.epoch, event.batch, &logs};
    v1::Decision decision = set_.Decide(
        view, run_, false, [](std::string_view) { return absl::OkStatus(); }, states_, &last_id_);
    if (decision.saves_size() > 0) set_.Committed(std::to_string(last_id_), states_);
    return decision;
  }

 private:
  PolicySet set_;
  std::string run_;
  std::vector<v1::PolicyState> states_;
  uint64_t seq_ = 0;
  uint64_t last_id_ = 0;
};

TEST(ConformanceTest, DecidesLikeTheReference) {
  for (const char* file : {"/keras29.jsonl", "/keras29_more.jsonl"}) {
    const auto cases = conformance::ReadJsonLines(std::string(CKPT_CONFORMANCE_DIR) + file);
    EXPECT_EQ(cases.size(), 400u) << file;
    for (const nlohmann::json& recorded : cases) {
      Engine engine;
      const nlohmann::json result = conformance::Replay(recorded, engine);
      EXPECT_EQ(result.at("init"), recorded.at("init")) << recorded.at("id");
      EXPECT_EQ(result.at("got"), recorded.at("expect")) << recorded.at("id");
    }
  }
}

}  // namespace
}  // namespace ckpt::policy
