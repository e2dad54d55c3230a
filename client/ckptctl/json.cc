#include "client/ckptctl/json.h"

#include "google/protobuf/util/json_util.h"

namespace ckpt::ctl {
namespace {

std::string ToJson(const google::protobuf::Message& message, bool indented) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = indented;
  options.always_print_primitive_fields = true;
  std::string json;
  // Fails only for values that our resources cannot hold (an unknown Any, a NaN in a Value).
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  return status.ok() ? json : "null";
}

}  // namespace

std::string ToJsonLine(const google::protobuf::Message& message) { return ToJson(message, false); }

std::string ToJsonText(const google::protobuf::Message& message) { return ToJson(message, true); }

}  // namespace ckpt::ctl
