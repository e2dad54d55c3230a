#include "tests/conformance/replay.h"

#include <gtest/gtest.h>

#include <map>

#include "storage/base/errors.h"

namespace ckpt::conformance {
namespace {

using nlohmann::json;

v1::CheckpointPolicy PolicyFrom(const json& arguments) {
  v1::CheckpointPolicy policy;
  policy.set_name("recorded");
  policy.set_filepath(arguments.at("filepath").get<std::string>());
  policy.set_monitor(arguments.value("monitor", ""));
  policy.set_verbose(arguments.value("verbose", 0));
  policy.set_save_best_only(arguments.value("save_best_only", false));
  policy.set_save_weights_only(arguments.value("save_weights_only", false));
  policy.set_mode(arguments.value("mode", ""));
  const json save_freq = arguments.value("save_freq", json());
  if (save_freq.is_string()) policy.mutable_save_freq()->set_string_value(save_freq);
  if (save_freq.is_boolean()) policy.mutable_save_freq()->set_bool_value(save_freq);
  if (save_freq.is_number()) policy.mutable_save_freq()->set_number_value(save_freq);
  const json threshold = arguments.value("initial_value_threshold", json());
  if (!threshold.is_null()) policy.set_initial_value_threshold(NumberFrom(threshold));
  const json period = arguments.value("period", json());
  if (period.is_boolean()) policy.set_period(period.get<bool>() ? 1 : 0);
  if (period.is_number()) policy.set_period(period);
  return policy;
}

CaseEvent EventFrom(const json& event) {
  static const std::map<std::string, v1::Event::Kind> kKinds = {
      {"train_begin", v1::Event::KIND_TRAIN_BEGIN}, {"train_end", v1::Event::KIND_TRAIN_END},
      {"epoch_begin", v1::Event::KIND_EPOCH_BEGIN}, {"epoch_end", v1::Event::KIND_EPOCH_END},
      {"batch_end", v1::Event::KIND_BATCH_END},
  };
  return {kKinds.at(event.at("type")), event.value("epoch", int64_t{0}),
          event.value("batch", int64_t{0}), MetricsFrom(event.value("logs", json::object()))};
}

// The exception that a reason stands for.
std::string PythonName(v1::ErrorReason reason) {
  static const std::map<v1::ErrorReason, std::string> kNames = {
      {v1::ERROR_REASON_SAVE_FREQ_INVALID, "ValueError"},
      {v1::ERROR_REASON_TEMPLATE_KEY, "KeyError"},
      {v1::ERROR_REASON_TEMPLATE_VALUE, "ValueError"},
      {v1::ERROR_REASON_TEMPLATE_INDEX, "IndexError"},
      {v1::ERROR_REASON_TEMPLATE_TYPE, "TypeError"},
      {v1::ERROR_REASON_TEMPLATE_ATTRIBUTE, "AttributeError"},
  };
  const auto name = kNames.find(reason);
  return name == kNames.end() ? v1::ErrorReason_Name(reason) : name->second;
}

// What the decision showed of itself; null if nothing.
json Observed(const v1::PolicyDecision& decision) {
  json seen;
  if (decision.action() == v1::PolicyDecision::ACTION_SAVE) {
    const bool weights = decision.payload() == v1::Checkpoint::PAYLOAD_WEIGHTS;
    seen["action"] = "save";
    seen["payload"] = weights ? "weights" : "full";
    seen["filepath"] = decision.filepath();
  }
  if (!decision.message().empty()) seen["message"] = decision.message();
  if (!decision.warning().empty()) seen["warning"] = decision.warning();
  if (decision.has_error()) seen["error"] = PythonName(decision.error().reason());
  if (!seen.is_null()) seen["best"] = NumberToJson(decision.best());
  return seen;
}

}  // namespace

json Replay(const json& recorded, Subject& subject) {
  json result = {{"id", recorded.at("id")}, {"got", json::array()}};
  const auto warnings = subject.Start(recorded.at("id"), PolicyFrom(recorded.at("policy")));
  if (!warnings.ok()) {
    result["init"] = {{"init_error", PythonName(ReasonOf(warnings.status()))},
                      {"init_message", std::string(MessageOf(warnings.status()))}};
    return result;
  }
  result["init"] = {{"warnings", *warnings}};
  int index = 0;
  for (const json& event : recorded.at("events")) {
    const absl::StatusOr<v1::Decision> decision = subject.Feed(EventFrom(event));
    EXPECT_TRUE(decision.ok()) << recorded.at("id") << " event " << index << ": "
                               << MessageOf(decision.status());
    if (!decision.ok()) break;
    for (const v1::PolicyDecision& policy : decision->policies()) {
      json seen = Observed(policy);
      if (seen.is_null()) continue;
      seen["event"] = index;
      result["got"].push_back(std::move(seen));
    }
    ++index;
  }
  return result;
}

}  // namespace ckpt::conformance
