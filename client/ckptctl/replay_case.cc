#include "client/ckptctl/replay_case.h"

#include <fmt/format.h>

#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "google/protobuf/util/json_util.h"
#include "storage/base/errors.h"

namespace ckpt::ctl {
namespace {

// Keeps the order of keys: logs are an ordered dictionary.
using Json = nlohmann::ordered_json;

constexpr char kPolicyName[] = "replay";

absl::Status Malformed(std::string_view what) {
  return absl::InvalidArgumentError(std::string(what));
}

std::optional<double> NumberOf(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

// What fits an int64, as JSON integer.
std::optional<int64_t> IntegerOf(const Json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (value.is_number_unsigned() && value.get<uint64_t>() > kMax) return std::nullopt;
  return value.get<int64_t>();
}

// Setters of the callback's arguments; false: the policy cannot have this value.
using Setter = std::function<bool(const Json&, v1::CheckpointPolicy&)>;

// Empty text would stand for the default.
template <typename Set>
Setter Text(Set set) {
  return [set](const Json& value, v1::CheckpointPolicy& policy) {
    if (!value.is_string() || value.get_ref<const std::string&>().empty()) return false;
    set(policy, value.get<std::string>());
    return true;
  };
}

template <typename Set>
Setter Flag(Set set) {
  return [set](const Json& value, v1::CheckpointPolicy& policy) {
    if (!value.is_boolean()) return false;
    std::invoke(set, policy, value.get<bool>());
    return true;
  };
}

bool SetVerbose(const Json& value, v1::CheckpointPolicy& policy) {
  if (!value.is_number_integer() && !value.is_boolean()) return false;
  const bool loud = value.is_boolean() ? value.get<bool>() : value.get<int64_t>() > 0;
  policy.set_verbose(loud ? 1 : 0);
  return true;
}

// Any value: the daemon tells which it takes. What the callback refuses and the wire does not tell
// from a value that it takes (2.0 from 2, null from none) goes as the text of it.
bool SetSaveFreq(const Json& value, v1::CheckpointPolicy& policy) {
  if (value.is_number_float() || value.is_null()) {
    policy.mutable_save_freq()->set_string_value(value.is_null() ? "None" : value.dump());
    return true;
  }
  return google::protobuf::util::JsonStringToMessage(value.dump(), policy.mutable_save_freq()).ok();
}

bool SetThreshold(const Json& value, v1::CheckpointPolicy& policy) {
  const std::optional<double> number = NumberOf(value);
  if (number.has_value()) policy.set_initial_value_threshold(*number);
  return number.has_value() || value.is_null();
}

bool SetPeriod(const Json& value, v1::CheckpointPolicy& policy) {
  const std::optional<int64_t> number =
      value.is_boolean() ? std::optional<int64_t>(value.get<bool>()) : IntegerOf(value);
  if (number.has_value()) policy.set_period(*number);
  return number.has_value();
}

const std::map<std::string, Setter>& Arguments() {
  using P = v1::CheckpointPolicy;
  static const auto& arguments = *new std::map<std::string, Setter>{
      {"filepath", Text([](P& p, std::string v) { p.set_filepath(std::move(v)); })},
      {"monitor", Text([](P& p, std::string v) { p.set_monitor(std::move(v)); })},
      {"mode", Text([](P& p, std::string v) { p.set_mode(std::move(v)); })},
      {"save_best_only", Flag(&P::set_save_best_only)},
      {"save_weights_only", Flag(&P::set_save_weights_only)},
      {"verbose", SetVerbose},
      {"save_freq", SetSaveFreq},
      {"initial_value_threshold", SetThreshold},
      {"period", SetPeriod},
      {"options", [](const Json& value, P&) { return value.is_null(); }},
      {"load_weights_on_restart", [](const Json&, P&) { return false; }}};
  return arguments;
}

absl::Status ParsePolicy(const Json& json, v1::CheckpointPolicy* policy) {
  if (!json.is_object()) return Malformed("'policy' is not an object");
  policy->set_name(kPolicyName);
  for (const auto& [name, value] : json.items()) {
    const auto argument = Arguments().find(name);
    if (argument == Arguments().end()) continue;  // as the callback does
    if (!argument->second(value, *policy)) {
      return Malformed(fmt::format("policy: '{}' cannot be {}", name, value.dump()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Event::Kind> ParseKind(const Json& event) {
  static const auto& kinds =
      *new std::map<std::string, v1::Event::Kind>{{"train_begin", v1::Event::KIND_TRAIN_BEGIN},
                                                  {"train_end", v1::Event::KIND_TRAIN_END},
                                                  {"epoch_begin", v1::Event::KIND_EPOCH_BEGIN},
                                                  {"epoch_end", v1::Event::KIND_EPOCH_END},
                                                  {"batch_end", v1::Event::KIND_BATCH_END}};
  const auto type = event.find("type");
  if (type == event.end() || !type->is_string()) return Malformed("it has no 'type'");
  const auto kind = kinds.find(type->get<std::string>());
  if (kind == kinds.end()) return Malformed(fmt::format("its type is {}", type->dump()));
  return kind->second;
}

absl::Status ParseLogs(const Json& json, std::vector<ReplayMetric>* logs) {
  if (!json.is_object()) return Malformed("'logs' is not an object");
  for (const auto& [name, value] : json.items()) {
    const std::optional<double> number = NumberOf(value);
    if (!number.has_value()) {
      return Malformed(fmt::format("metric '{}' is {}, not a number", name, value.dump()));
    }
    const std::optional<int64_t> integer = IntegerOf(value);
    logs->push_back({name, *number, integer.has_value(), integer.value_or(0)});
  }
  return absl::OkStatus();
}

absl::Status ParseIndex(const Json& event, const char* key, int64_t* index) {
  const auto value = event.find(key);
  const std::optional<int64_t> number = value == event.end() ? std::nullopt : IntegerOf(*value);
  if (!number.has_value()) return Malformed(fmt::format("it has no whole number '{}'", key));
  *index = *number;
  return absl::OkStatus();
}

absl::StatusOr<ReplayEvent> ParseEvent(const Json& json) {
  if (!json.is_object()) return Malformed("it is not an object");
  const absl::StatusOr<v1::Event::Kind> kind = ParseKind(json);
  if (!kind.ok()) return kind.status();
  ReplayEvent event;
  event.kind = *kind;
  const bool has_epoch = *kind == v1::Event::KIND_EPOCH_BEGIN || *kind == v1::Event::KIND_EPOCH_END;
  if (has_epoch) {
    if (absl::Status status = ParseIndex(json, "epoch", &event.epoch); !status.ok()) return status;
  }
  if (*kind == v1::Event::KIND_BATCH_END) {
    if (absl::Status status = ParseIndex(json, "batch", &event.batch); !status.ok()) return status;
  }
  if (const auto logs = json.find("logs"); logs != json.end() && !logs->is_null()) {
    if (absl::Status status = ParseLogs(*logs, &event.logs); !status.ok()) return status;
  }
  return event;
}

}  // namespace

absl::StatusOr<ReplayCase> ParseReplayCase(std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Malformed("not a JSON object");
  ReplayCase replay;
  const auto id = json.find("id");
  if (id == json.end() || !id->is_string()) return Malformed("it has no 'id'");
  replay.id = id->get<std::string>();
  const auto policy = json.find("policy");
  if (policy == json.end()) return Malformed("it has no 'policy'");
  if (absl::Status status = ParsePolicy(*policy, &replay.policy); !status.ok()) return status;
  const auto events = json.find("events");
  if (events == json.end() || !events->is_array()) return Malformed("it has no list 'events'");
  for (const Json& item : *events) {
    absl::StatusOr<ReplayEvent> event = ParseEvent(item);
    if (!event.ok()) {
      return Malformed(
          fmt::format("event {}: {}", replay.events.size(), MessageOf(event.status())));
    }
    replay.events.push_back(*std::move(event));
  }
  return replay;
}

}  // namespace ckpt::ctl
