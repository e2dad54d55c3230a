// "Did you mean?"
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ckpt::ctl {

// The candidate that `typed` was most likely meant to be; empty when none is near.
std::string Suggest(std::string_view typed, const std::vector<std::string>& candidates);

}  // namespace ckpt::ctl
