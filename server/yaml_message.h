// YAML into a protobuf message: the message is the schema.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "google/protobuf/message.h"

namespace ckpt::server {

// Merges YAML `text` into `*message`. Keys are field names; google.protobuf.Value takes any scalar.
// `source` names the text in messages, with the line: `ckptd.yaml:12: unknown key 'lisen'; did you
// mean 'listen'?`. FIELD_INVALID for malformed YAML, unknown or repeated keys, and values that do
// not fit; `*message` is then unspecified.
absl::Status ParseYaml(std::string_view text, std::string_view source,
                       google::protobuf::Message* message);

}  // namespace ckpt::server
