// Reads the words of a filter or an order_by, one by one.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ckpt::storage {

inline constexpr size_t kMaxQueryBytes = 4096;
inline constexpr int kMaxQueryTerms = 32;

// Spaces and tabs before a word are skipped. Keeps no copy of the text. Not thread-safe.
class QueryScanner {
 public:
  // `field` is the request's field, for messages.
  QueryScanner(std::string_view field, std::string_view text) : field_(field), text_(text) {}

  // QUERY_INVALID if the text is too long, no UTF-8, or holds a NUL. To be asked before anything
  // else.
  absl::Status CheckText() const;

  bool AtEnd();
  // Offset of the next word.
  size_t position();
  // Takes `symbol` if the text goes on with it.
  bool Take(std::string_view symbol);
  // The letters, digits and `_` that come next; may be none.
  std::string_view TakeName();
  // As TakeName, with `+`, `-` and `.`.
  std::string_view TakeNumber();
  // Whether a double quote comes next.
  bool AtQuote();
  // A text in double quotes, in which \" and \\ stand for " and \. QUERY_INVALID if it is none.
  absl::StatusOr<std::string> TakeQuoted();

  // QUERY_INVALID about the word at `position`.
  absl::Status Error(size_t position, std::string_view what) const;

 private:
  void SkipSpace();
  template <typename Accept>
  std::string_view TakeWhile(Accept accept);

  std::string_view field_;
  std::string_view text_;
  size_t position_ = 0;
};

}  // namespace ckpt::storage
