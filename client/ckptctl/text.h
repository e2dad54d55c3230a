// Values as people read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "google/protobuf/timestamp.pb.h"

namespace ckpt::ctl {

// `text` with control characters and bytes that are not UTF-8 written as \n, \t or \xNN, so that a
// name can neither break a table nor command a terminal.
std::string Escaped(std::string_view text);

// Columns that `text` (escaped) takes on a terminal, counted in code points.
size_t DisplayWidth(std::string_view text);

// "512 B", "1.5 KiB", "27.3 GiB".
std::string HumanBytes(int64_t bytes);

// Six significant digits.
std::string HumanNumber(double value);
// As many digits as it takes to read the same double again.
std::string ExactNumber(double value);

// "2026-11-23 18:27:00Z"; empty when there is none.
std::string HumanTime(const google::protobuf::Timestamp& time);
// RFC 3339; empty when there is none.
std::string ExactTime(const google::protobuf::Timestamp& time);

}  // namespace ckpt::ctl
