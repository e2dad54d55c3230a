// How the parts of a formatted value are signed, grouped and padded.
#pragma once

#include <string>

#include "server/policy/format_spec.h"

namespace ckpt::policy {

// A formatted value before padding.
struct Parts {
  bool negative = false;
  std::string prefix = {};  // such as "0x"
  std::string digits = {};  // what grouping applies to; empty for text, inf and nan
  std::string rest = {};    // what follows: fraction, exponent, "%", or all of it
};

// Left padding, sign, prefix, inner padding (alignment `=`), digits, rest, right padding.
std::string Layout(const Parts& parts, const FormatSpec& spec);

// Whether `type` is one of b, o, x and X, which are grouped by four.
bool IsOtherBase(char32_t type);

}  // namespace ckpt::policy
