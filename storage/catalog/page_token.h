// Page tokens: where a list goes on, bound to the question it answers.
//
// A token is base64url without padding of: 01 (version), XXH3-64 of everything else, the position.
// The digest catches mistakes and tokens of other questions; whoever forges one can only choose
// where his own list begins, so a position is never trusted to be well formed.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace ckpt::storage {

// The kind of list first, then all that decides which rows it has and in which order.
using Question = std::initializer_list<std::string_view>;

std::string MakePageToken(Question question, std::string_view position);

// The position in `token`; empty for the empty token. PAGE_TOKEN_INVALID if it was not made for
// this question.
absl::StatusOr<std::string> ReadPageToken(Question question, std::string_view token);

// Rows of a page when `page_size` are asked for: 100 for 0 and below, at most 1,000.
int PageRows(int page_size);

// A page ends early rather than hold more bytes of rows than this.
inline constexpr size_t kMaxPageBytes = 2 << 20;

}  // namespace ckpt::storage
