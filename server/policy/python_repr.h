// Text as Python's repr() shows it.
#pragma once

#include <string>
#include <string_view>

namespace ckpt::policy {

// Quoted; backslashes, control and format characters and odd spaces escaped.
std::string PythonRepr(std::string_view text);

}  // namespace ckpt::policy
