// Messages as proto3 JSON.
#pragma once

#include <string>

#include "google/protobuf/message.h"

namespace ckpt::ctl {

// One line; or indented, ending in a newline. Fields with their default value are written too, so
// that a script finds them.
std::string ToJsonLine(const google::protobuf::Message& message);
std::string ToJsonText(const google::protobuf::Message& message);

}  // namespace ckpt::ctl
