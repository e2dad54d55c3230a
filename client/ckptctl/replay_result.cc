#include "client/ckptctl/replay_result.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "storage/base/errors.h"

namespace ckpt::ctl {
namespace {

using OrderedJson = nlohmann::ordered_json;

// JSON cannot hold all doubles.
OrderedJson NumberJson(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

const char* PayloadText(v1::Checkpoint::Payload payload) {
  return payload == v1::Checkpoint::PAYLOAD_WEIGHTS ? "weights" : "full";
}

// The reference's name where it has one.
std::string ErrorName(v1::ErrorReason reason) {
  const std::string_view exception = PythonException(reason);
  return exception.empty() ? v1::ErrorReason_Name(reason) : std::string(exception);
}

bool IsObservable(const v1::PolicyDecision& policy) {
  return policy.action() == v1::PolicyDecision::ACTION_SAVE || policy.has_error() ||
         !policy.message().empty() || !policy.warning().empty();
}

}  // namespace

struct ReplayResult::Json {
  OrderedJson value;
};

ReplayResult::ReplayResult(std::string_view id) : json_(std::make_unique<Json>()) {
  json_->value["id"] = id;
  json_->value["init"]["warnings"] = OrderedJson::array();
  json_->value["got"] = OrderedJson::array();
}

ReplayResult::~ReplayResult() = default;

void ReplayResult::SetWarnings(const std::vector<std::string>& warnings) {
  json_->value["init"]["warnings"] = warnings;
}

bool ReplayResult::SetInitError(const absl::Status& error) {
  if (!MetadataOf(error).contains("policy")) return false;
  OrderedJson& init = json_->value["init"];
  init.clear();
  init["init_error"] = ErrorName(ReasonOf(error));
  init["init_message"] = MessageOf(error);
  return true;
}

void ReplayResult::AddDecision(size_t event, const v1::Decision& decision) {
  if (decision.policies().empty() || !IsObservable(decision.policies(0))) return;
  const v1::PolicyDecision& policy = decision.policies(0);
  OrderedJson got;
  got["event"] = event;
  if (policy.action() == v1::PolicyDecision::ACTION_SAVE) {
    got["action"] = "save";
    got["payload"] = PayloadText(policy.payload());
    got["filepath"] = policy.filepath();
  }
  if (!policy.message().empty()) got["message"] = policy.message();
  if (!policy.warning().empty()) got["warning"] = policy.warning();
  if (policy.has_error()) got["error"] = ErrorName(policy.error().reason());
  got["best"] = NumberJson(policy.best());
  json_->value["got"].push_back(std::move(got));
}

std::string ReplayResult::ToLine() const {
  return json_->value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string_view PythonException(v1::ErrorReason reason) {
  switch (reason) {
    case v1::ERROR_REASON_TEMPLATE_KEY:
      return "KeyError";
    case v1::ERROR_REASON_TEMPLATE_VALUE:
    case v1::ERROR_REASON_SAVE_FREQ_INVALID:
      return "ValueError";
    case v1::ERROR_REASON_TEMPLATE_INDEX:
      return "IndexError";
    case v1::ERROR_REASON_TEMPLATE_TYPE:
      return "TypeError";
    case v1::ERROR_REASON_TEMPLATE_ATTRIBUTE:
      return "AttributeError";
    default:
      return {};
  }
}

}  // namespace ckpt::ctl
