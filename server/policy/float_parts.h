// Doubles as Python writes them: correctly rounded from the exact binary value, independent of the
// locale.
#pragma once

#include "server/policy/format_spec.h"
#include "server/policy/layout.h"

namespace ckpt::policy {

// Presentation types e E f F g G n %; any other means none: repr() without a precision, and with
// one the variant of g that keeps a decimal.
Parts FloatParts(double value, const FormatSpec& spec);

}  // namespace ckpt::policy
